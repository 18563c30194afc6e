"""Delete an archived flag with all its flag states."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.definitions import service
from flagsite.core import actor
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of
from jobs.engine.chains import tracked
from jobs.engine.models import Job


class Command(OperatorCommand):
    help = (
        "Delete an archived flag with its flag states and changes, for good; a job does this. With --wait the command "
        "waits until the job's chain has ended, and its exit status is 0 only if the chain COMPLETED."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        add_reason(parser)
        parser.add_argument("--wait", action="store_true", help="show progress until the job's chain has ended")

    def answer(self, *, flag: str, wait: bool, **options: Any) -> Answer:
        job = service.purge(key=flag, by=me(), correlation_id=actor.current().correlation_id)
        latest = follow(job) if wait else Job.objects.get(pk=job.pk)
        words = f"{flag} and its flag states are being deleted: job {job.pk} {latest.status}."
        return Answer(documents_of(tracked([latest]))[0], [words], failed=wait and not succeeded(latest))
