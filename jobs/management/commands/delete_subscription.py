"""Delete a subscription."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.notifications import subscriptions
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Delete a subscription. Its deliveries stay."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="ID")
        add_reason(parser)

    def answer(self, *, id: int, reason: str, **options: Any) -> Answer:  # noqa: A002
        caller = Caller(me(), Role.ADMIN)
        found = subscriptions.subscription_for(caller, id)
        subscriptions.delete(caller, found, reason=reason)
        return Answer({"id": id}, [f"The subscription {id} ({found.name}) is deleted."])
