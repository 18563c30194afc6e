"""Make a report."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from flags.reports.models import Report
from flags.reports.period import PeriodName
from flags.reports.report_job import KIND, FileFormat, ReportName
from flags.reports.selectors import files_by_report
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.artifacts.serializers import artifacts_document
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of
from jobs.engine.chains import tracked
from jobs.operations.enqueue import enqueue_for
from orgs.access.visible_organizations import find_organization
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = (
        "Start a job that makes a report on the usage of flags, the audit log or the performance of jobs, for all "
        "organizations or for one subtree."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("report", choices=[name.value for name in ReportName], help="what the report is about")
        parser.add_argument(
            "--period", choices=[name.value for name in PeriodName], help="default: the last calendar month"
        )
        parser.add_argument("--from", dest="first", type=day, metavar="DAY", help="the first day, such as 2026-11-01")
        parser.add_argument("--to", dest="last", type=day, metavar="DAY", help="the last day, in UTC like the first")
        parser.add_argument("--organization", metavar="ORG", help="the subtree of this organization (key or id)")
        parser.add_argument("--format", choices=[one.value for one in FileFormat], default=FileFormat.PDF.value)
        parser.add_argument("--details", action="store_true", help="with the flag states of each organization (usage)")
        parser.add_argument(
            "--mail-to", nargs="+", default=[], metavar="ADDRESS", help="send the key figures to these e-mail addresses"
        )
        parser.add_argument("--wait", action="store_true", help="show the progress until the job has ended")
        add_reason(parser)

    def answer(self, *, report: str, organization: str | None, wait: bool, **options: Any) -> Answer:
        job = enqueue_for(
            everything(),
            kind=KIND,
            arguments=_arguments(report, options),
            organization=find_organization(organization).pk if organization else None,
            reason=options["reason"],
        ).job
        latest = follow(job) if wait else job
        files = files_by_report([Report(pk=job.pk)])[job.pk]
        shown = [f"Job {job.pk} makes the report; its status is {latest.status}."]
        shown += [f"bin/manage save_artifact {job.pk} {file.name}" for file in files]
        document = {"job": documents_of(tracked([latest]))[0], "files": artifacts_document(files)}
        if wait and not succeeded(latest):
            return Answer(document, shown, failed=True, error_summary=latest.error_message or "")
        return Answer(document, shown)


def day(text: str) -> str:
    """Check a day such as 2026-11-01, and return its text. Raises ValueError."""
    return date.fromisoformat(text).isoformat()


def _arguments(report: str, options: dict[str, Any]) -> dict[str, Any]:
    names = {"period": "period", "first": "from", "last": "to", "format": "format", "mail_to": "mailTo"}
    given = {theirs: options[ours] for ours, theirs in names.items() if options[ours]}
    return {"report": report, "details": options["details"], **given}
