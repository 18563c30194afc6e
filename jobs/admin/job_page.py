"""What the page of one job shows: how it stands, its chain, the organizations that failed, who did what to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.http import HttpResponse, JsonResponse

from flagsite.core.ids import id_in
from jobs.admin.job_rows import rows_of
from jobs.engine.chains import attempts, failures_of
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import OPEN, Status
from jobs.metrics import probe_job
from jobs.operations import bulk, bulk_job, cleanup, job_operations
from jobs.operations.bulk import OPERATIONS
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

FAILURES_AT_ONCE = 50
SECRET = {"lease_token"}
FOR_ADMINISTRATORS = {"error_traceback"}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt in the timeline of a chain, and how long it waited for its worker."""

    job: Job
    waited: timedelta | None
    is_this: bool


def live(job: Job, caller: Caller, *, may_operate: bool) -> dict[str, Any]:
    """What changes while the job's chain is open."""
    chain = attempts(job)
    row = rows_of([job], caller, may_operate=may_operate)[job.pk]
    return {
        "job": job,
        "row": row,
        "timeline": [Attempt(each, _waited(each), each.pk == job.pk) for each in chain],
        "version": _version(chain, row.paused_by),
        "is_open": any(each.status in {*OPEN, Status.RETRYING} for each in chain),
        "results": _results(job),
        "shows_traceback": caller.may(Role.ADMIN),
        "may_operate": may_operate,
    }


def context(job: Job, caller: Caller, query: Mapping[str, str], *, may_operate: bool) -> dict[str, Any]:
    """The whole page; `query` has what is looked for among the failures, and from which organization on."""
    chain = live(job, caller, may_operate=may_operate)
    subjects = [f"job:{attempt.job.pk}" for attempt in chain["timeline"]]
    found, more = _failures(job, caller, query)
    return {
        **chain,
        "path": " › ".join(chain["row"].path or []),
        "failures": found,
        "more_failures": found[-1][0].organization_id if more else None,
        "failures_query": query.get("failed", ""),
        "behind": job_operations.left_behind(job),
        "entries": AuditEntry.objects.filter(subject__in=subjects).order_by("-id")[:100],
    }


def raw(job: Job, caller: Caller) -> HttpResponse:
    """The job's row as JSON, without the lease's token; the traceback is for administrators."""
    hidden = SECRET if caller.may(Role.ADMIN) else SECRET | FOR_ADMINISTRATORS
    columns = {field.attname: getattr(job, field.attname) for field in Job._meta.concrete_fields}
    shown = {name: value for name, value in columns.items() if name not in hidden}
    return JsonResponse(shown, encoder=DjangoJSONEncoder, json_dumps_params={"indent": 2, "ensure_ascii": False})


def _failures(job: Job, caller: Caller, query: Mapping[str, str]) -> tuple[Sequence[tuple[JobFailure, str]], bool]:
    """The next failures by organization's id, each with the organization's path; and whether more follow."""
    rows = failures_of(caller, job).filter(organization_id__gt=id_in(query.get("after", "")) or 0)
    term = query.get("failed", "").strip()
    if term:
        named = Organization.objects.filter(Q(key=term) | Q(name__icontains=term)).values("pk")
        rows = rows.filter(Q(error__icontains=term) | Q(organization_id__in=named))
    found = list(rows.order_by("organization_id")[: FAILURES_AT_ONCE + 1])
    shown = found[:FAILURES_AT_ONCE]
    paths = path_names_of([failure.organization_id for failure in shown], top_id=caller.organization_id)
    return [
        (failure, " › ".join(paths.get(failure.organization_id, [f"{failure.organization_id}, deleted"])))
        for failure in shown
    ], len(found) > FAILURES_AT_ONCE


def _results(job: Job) -> list[tuple[str, int]]:
    """What came of it in counts, by the words for each; nothing where a job has nothing to count."""
    if job.kind == bulk_job.KIND:
        done = bulk_job.report(job)
        skipped = [(f"passed over: {bulk.said_of(words, count)}", count) for words, count in done.skipped.most_common()]
        return [(f"jobs {OPERATIONS[job.arguments['deed']].done}", done.count), *skipped]
    if job.kind == cleanup.KIND:
        deleted = (job.checkpoint or {}).get("deleted", {})
        return [(f"{what} {'jobs ' if what in Status else ''}deleted", count) for what, count in deleted.items()]
    if job.kind == probe_job.KIND:
        return []
    return [
        ("changed", max(0, job.processed - job.superseded - job.unchanged)),
        ("had the value already", job.unchanged),
        ("had a newer value", job.superseded),
        ("failed", job.failed),
    ]


def _version(chain: Sequence[Job], paused_by: str) -> str:
    """Another one when something has changed; while nothing has, a page is not written anew under a person's hands."""
    return f"{len(chain)}-{max(job.updated_at for job in chain).timestamp()}-{len(paused_by)}"


def _waited(job: Job) -> timedelta | None:
    return job.started_at - job.run_at if job.started_at and job.started_at > job.run_at else None
