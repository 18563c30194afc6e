"""Delete jobs that ended long ago."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from flagsite.core import actor
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console import waiting_reason
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.operations.cleanup import OldJobs


class Command(OperatorCommand):
    help = (
        "Have a job delete chains that ended long ago: those that COMPLETED or were CANCELLED after "
        "JOBS_KEEP_COMPLETED_DAYS, those that FAILED for good after JOBS_KEEP_FAILED_DAYS; and what else "
        "is old, such as scheduled changes."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what would be deleted")
        parser.add_argument("--wait", action="store_true", help="show progress until it is done")

    def answer(self, *, dry_run: bool, wait: bool, **options: Any) -> Answer:
        old = cleanup.old_jobs()
        document: dict[str, Any] = {
            "dryRun": dry_run, "completed": old.completed, "cancelled": old.cancelled, "failed": old.failed,
            **old.others,
        }  # fmt: skip
        if dry_run:
            return Answer(document, [f"{_words(old)} would be deleted; nothing was changed."])
        job = cleanup.request(by=me(), correlation_id=actor.current().correlation_id)
        latest = follow(job) if wait else Job.objects.get(pk=job.pk)
        waits_for = waiting_reason.reason_to_wait(latest.pk)
        shown = [f"{_words(old)} are old enough; job {job.pk} deletes them: {latest.status}."]
        if waits_for:
            shown.append(waits_for)
        document |= {"job": documents_of([latest])[0], "waitsFor": waits_for}
        return Answer(document, shown, failed=wait and not succeeded(latest))


def _words(old: OldJobs) -> str:
    kept = f"{settings.JOBS_KEEP_COMPLETED_DAYS} and {settings.JOBS_KEEP_FAILED_DAYS} days"
    chains = (
        f"{old.chains:,} chains ({old.completed:,} completed, {old.cancelled:,} cancelled, {old.failed:,} failed; kept "
        f"for {kept})"
    )
    return " and ".join([chains, *(f"{count:,} {name}" for name, count in old.others.items())])
