"""Send deliveries once more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me, result_of_each
from flagsite.core.errors import FlagsiteError
from jobs.notifications import deliveries
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Send deliveries that have ended once more, each with the same message id."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("ids", type=row_id, nargs="+", metavar="ID")
        add_reason(parser)

    def answer(self, *, ids: list[int], reason: str, **options: Any) -> Answer:
        caller = Caller(me(), Role.ADMIN)
        results, shown = [], []
        for number in ids:
            try:
                job_id = deliveries.replay(deliveries.delivery_for(caller, number), by=me(), reason=reason).job_id
            except FlagsiteError as error:
                results.append({"id": number, "refused": error.detail})
                shown.append(f"Delivery {number}: {error.detail}")
            else:
                results.append({"id": number, "jobId": job_id})
                shown.append(f"Delivery {number} is sent once more by job {job_id}.")
        return result_of_each(results, shown, refused=sum("refused" in result for result in results))
