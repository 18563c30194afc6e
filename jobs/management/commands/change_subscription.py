"""Change a subscription."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, count, row_id
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.notifications import subscriptions
from jobs.notifications.models import LONGEST_DIGEST
from jobs.notifications.serializers import SubscriptionSerializer
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Change a subscription, stop it or start it again. What you do not name stays."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="ID")
        parser.add_argument("--name", help="what the subscription is for")
        parser.add_argument("--event", action="append", help="in place of the present events; repeat for several")
        parser.add_argument("--digest-seconds", type=count(0, LONGEST_DIGEST), metavar="N", help="how long to wait")
        active = parser.add_mutually_exclusive_group()
        active.add_argument("--stop", action="store_false", dest="is_active", default=None, help="send nothing")
        active.add_argument("--start", action="store_true", dest="is_active", default=None, help="send again")
        add_reason(parser)

    def answer(self, *, id: int, reason: str, event: list[str] | None, **options: Any) -> Answer:  # noqa: A002
        caller = Caller(me(), Role.ADMIN)
        given = {"events": event} | {name: options[name] for name in ("name", "digest_seconds", "is_active")}
        values = {name: value for name, value in given.items() if value is not None}
        found = subscriptions.subscription_for(caller, id)
        changed = subscriptions.change(caller, found, reason=reason, **values)
        return Answer(SubscriptionSerializer(changed).data, [f"The subscription {id} ({changed.name}) is changed."])
