"""Send a test to a subscription."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.notifications import subscriptions
from jobs.notifications.serializers import DeliverySerializer
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Send a message that says that it is a test, in the way of every other message of a subscription."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="ID", help="the id of the subscription")
        add_reason(parser)

    def answer(self, *, id: int, reason: str, **options: Any) -> Answer:  # noqa: A002
        caller = Caller(me(), Role.ADMIN)
        sent = subscriptions.send_test(caller, subscriptions.subscription_for(caller, id), reason=reason)
        sentence = f"The delivery {sent.pk} goes to {sent.target_shown}. deliveries shows how it stands."
        return Answer(DeliverySerializer(sent).data, [sentence])
