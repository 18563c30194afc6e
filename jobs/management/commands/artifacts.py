"""List artifacts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import count, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.artifacts.serializers import artifacts_document
from jobs.artifacts.uploads import artifacts_of
from jobs.console.artifact_tables import artifact_table
from jobs.engine.chains import job_for
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "List the artifacts: the files that jobs have made, and the files that were uploaded for jobs, newest first."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--job", type=row_id, metavar="ID", help="only those of the chain of this job")
        parser.add_argument("--limit", type=count(1, 10_000), default=50, metavar="N", help="at most N (default: 50)")

    def answer(self, *, job: int | None, limit: int, **options: Any) -> Answer:
        caller = Caller(me(), Role.ADMIN)
        found = artifacts_of(caller).order_by("-id")
        if job is not None:
            found = found.filter(job_id=job_for(caller, job).root_id)
        rows = list(found[:limit])
        shown = artifact_table(rows) if rows else "There are no artifacts."
        return Answer({"results": artifacts_document(rows)}, [shown])
