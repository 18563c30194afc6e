"""The command rotate_secret: give a webhook a new secret, and print it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason, duration, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.notifications import subscriptions
from jobs.notifications.serializers import CreatedSubscriptionSerializer
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = (
        "Give a webhook a new secret of its signatures, and print it. It cannot be shown again. For the time of "
        "--overlap, each message has the signatures of both secrets."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="ID", help="the id of the subscription")
        parser.add_argument(
            "--overlap", type=duration, default=subscriptions.DEFAULT_OVERLAP, metavar="DURATION",
            help="how long both secrets sign, such as 0s, 2h or 7d; default: 1d",
        )  # fmt: skip
        add_reason(parser)

    def answer(self, *, id: int, overlap: timedelta, reason: str, **options: Any) -> Answer:  # noqa: A002
        caller = Caller(me(), Role.ADMIN)
        found = subscriptions.subscription_for(caller, id)
        rotated, secret = subscriptions.rotate_secret(caller, found, overlap=overlap, reason=reason)
        until = terminal.format_time(rotated.former_secret_until)
        shown = [
            f"{rotated.name}. This secret of its signatures cannot be shown again:",
            secret,
            f"The former secret signs too until {until} UTC." if until else "The former secret has ended.",
        ]
        return Answer(CreatedSubscriptionSerializer(rotated, context={"secret": secret}).data, shown)
