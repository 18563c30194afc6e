"""Delete jobs that ended long ago."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from flagsite.core import actor
from flagsite.core.console.arguments import add_reason, count
from flagsite.core.console.command import Answer, OperatorCommand, me
from flagsite.core.words import counted
from jobs.console import waiting_reason
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of
from jobs.engine.chains import tracked
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.operations.cleanup import OldJobs


class Command(OperatorCommand):
    help = (
        "Start a job that deletes chains that ended long ago: COMPLETED and CANCELLED chains after "
        "JOBS_KEEP_COMPLETED_DAYS, and FAILED chains after JOBS_KEEP_FAILED_DAYS. The job also deletes other old "
        "rows, such as scheduled changes."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count the rows that would be deleted")
        parser.add_argument("--wait", action="store_true", help="show the progress until the job has ended")
        parser.add_argument(
            "--only", action="append", default=[], metavar="NAME", choices=cleanup.ROW_NAMES,
            help=f"what to delete; may be repeated: {', '.join(cleanup.ROW_NAMES)}",
        )  # fmt: skip
        parser.add_argument(
            "--older-than-days", type=count(1, 36_500), metavar="N",
            help="delete what ended more than N days ago, whatever the settings say",
        )  # fmt: skip
        add_reason(parser)

    def answer(
        self, *, dry_run: bool, wait: bool, only: list[str], older_than_days: int | None, **options: Any
    ) -> Answer:
        choice = cleanup.Choice(only, older_than_days)
        old = cleanup.old_jobs(choice)
        document: dict[str, Any] = {
            "dryRun": dry_run, "completed": old.completed, "cancelled": old.cancelled, "failed": old.failed,
            **old.others,
        }  # fmt: skip
        if dry_run:
            return Answer(document, [f"{_counts(old)} would be deleted; nothing was changed."])
        job = cleanup.request(by=me(), correlation_id=actor.current().correlation_id, choice=choice)
        latest = follow(job) if wait else Job.objects.get(pk=job.pk)
        waits_for = waiting_reason.waiting_reason(latest.pk)
        output = [f"Old enough: {_counts(old)}. Job {job.pk} deletes them; its status is {latest.status}."]
        if waits_for:
            output.append(waits_for)
        document |= {"job": documents_of(tracked([latest]))[0], "waitsFor": waits_for}
        return Answer(document, output, failed=wait and not succeeded(latest))


def _counts(old: OldJobs) -> str:
    kept = f"{settings.JOBS_KEEP_COMPLETED_DAYS} and {counted(settings.JOBS_KEEP_FAILED_DAYS, 'day')}"
    ends = f"{old.completed:,} completed, {old.cancelled:,} cancelled, {old.failed:,} failed"
    chains = f"{counted(old.chains, 'chain')} ({ends}; kept for {kept})"
    names = {name: re.sub(r"(?=[A-Z])", " ", name).lower() for name in old.others}
    others = (counted(count, names[name].removesuffix("s"), names[name]) for name, count in old.others.items())
    return " and ".join([chains, *others])
