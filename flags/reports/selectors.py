"""The reports that a caller may see, and their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from flags.reports.models import Report
from flags.reports.report_job import KIND, PICTURE, TYPES
from jobs.artifacts.models import Artifact
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations


def reports_of(caller: Caller) -> QuerySet[Report]:
    """Return the reports that the caller may see: those of its scope that its role allows."""
    names = [name.value for name, type_ in TYPES.items() if type_.role is None or caller.may(type_.role)]
    reports: QuerySet[Report] = Report.objects.filter(kind=KIND, parent_job=None, arguments__report__in=names)
    if caller.organization_id is None:
        return reports
    return reports.filter(organization_id__in=visible_organizations(caller).values("pk"))


def files_by_report(reports: Iterable[Report]) -> dict[int, list[Artifact]]:
    """Return the files of each report that are still there, with one query; the picture of the first page comes first.

    The result has an empty list for a report without files.
    """
    ids = [report.pk for report in reports]
    found: dict[int, list[Artifact]] = defaultdict(list)
    rows = Artifact.objects.current().filter(Q(job_id__in=ids)).order_by("name")
    for artifact in sorted(rows, key=lambda artifact: artifact.name != PICTURE):
        found[artifact.job_id or 0].append(artifact)
    return found
