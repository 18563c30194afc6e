"""Show a batch."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console import terminal
from flagsite.core.console.arguments import row_id
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from jobs.batches.members import count_members, first_jobs
from jobs.batches.models import BatchOutcome
from jobs.batches.operations import batch_for
from jobs.console.batch_tables import (
    batch_documents,
    batch_facts,
    ended_word,
    member_documents,
    members_table,
    operator,
)
from jobs.engine.chains import tracked
from jobs.engine.states import Status

MAX_MEMBERS = 200
POLL_SECONDS = 1.0


class Command(OperatorCommand):
    help = (
        "Show a batch: its outcome or its progress, and its members. --follow waits until the batch has ended; then "
        "the exit status is 0 only if it SUCCEEDED."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="BATCH")
        parser.add_argument("--status", choices=Status.values, type=str.upper, metavar="STATUS",
                            help="members whose work stands like this")  # fmt: skip
        parser.add_argument("--follow", action="store_true", help="wait until the batch has ended")

    def answer(self, *, id: int, status: str | None, follow: bool, **options: Any) -> Answer:  # noqa: A002
        if follow:
            _wait(id)
        with snapshot():
            batch = batch_for(operator(), id)
            jobs = first_jobs(batch).filter(**({"status": status} if status else {}))
            members = tracked(list(jobs[: MAX_MEMBERS + 1]))
            shown, more = members[:MAX_MEMBERS], len(members) > MAX_MEMBERS
            document = {"batch": batch_documents([batch])[0], "members": member_documents(shown), "moreMembers": more}
            output: list[Any] = [batch_facts(batch)]
        if shown:
            output += ["", members_table(shown)]
        if more:
            output.append(f"There are more than {MAX_MEMBERS} members. To see fewer, use --status.")
        return Answer(document, output, failed=follow and batch.outcome != BatchOutcome.SUCCEEDED)


def _wait(batch_id: int) -> None:
    """Wait until the batch has ended, and show its progress on standard error. Raises BatchNotFound."""
    console, shown = terminal.error_console(), ""
    while (batch := batch_for(operator(), batch_id)).is_open:
        progress = ended_word(batch, count_members([batch])[batch.pk])
        if progress != shown:
            console.print(f"{progress} members have ended")
            shown = progress
        time.sleep(POLL_SECONDS)
