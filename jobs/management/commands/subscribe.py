"""Create a subscription."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, count
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.notifications import subscriptions
from jobs.notifications.models import LONGEST_DIGEST, Channel
from jobs.notifications.serializers import CreatedSubscriptionSerializer
from jobs.notifications.subscriptions import Wish
from orgs.access.caller import Caller
from orgs.access.models import Role


class Command(OperatorCommand):
    help = "Tell a person or a program of events. The secret of a webhook's signatures is printed once."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what the subscription is for")
        parser.add_argument("channel", choices=Channel.values, metavar="CHANNEL", help=", ".join(Channel.values))
        parser.add_argument("to", metavar="ADDRESS", help="an address of the channel")
        parser.add_argument("--event", action="append", required=True, help="such as job.failed; repeat for several")
        parser.add_argument("--organization", metavar="ORG", help="key or id; only the events of this subtree")
        parser.add_argument("--person", default="", metavar="USERNAME", help="the person who is told")
        parser.add_argument("--digest-seconds", type=count(0, LONGEST_DIGEST), metavar="N", help="default: 60")
        add_reason(parser)

    def answer(self, *, reason: str, to: str, event: list[str], **options: Any) -> Answer:
        names = ("name", "channel", "organization", "person", "digest_seconds")
        wish = Wish(target=to, events=event, **{name: options[name] for name in names})
        made, secret = subscriptions.create(Caller(me(), Role.ADMIN), wish, reason=reason)
        shown = [f"The subscription {made.pk} ({made.name}) is created."]
        if secret:
            shown += ["This secret of its signatures cannot be shown again:", secret]
        return Answer(CreatedSubscriptionSerializer(made, context={"secret": secret}).data, shown)
