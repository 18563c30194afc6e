"""List deliveries."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.notification_tables import deliveries_table
from jobs.notifications.models import Channel, Delivery, DeliveryState
from jobs.notifications.serializers import DeliverySerializer

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = "List deliveries, newest first. Those with the status OUTBOX were not sent."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--status", choices=DeliveryState.values, type=str.upper, metavar="STATUS",
                            help=f"one of {', '.join(DeliveryState.values)}")  # fmt: skip
        parser.add_argument("--channel", choices=Channel.values, metavar="CHANNEL", help=", ".join(Channel.values))
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, status: str | None, channel: str | None, limit: int, **options: Any) -> Answer:
        filters = {"state": status, "channel": channel}
        chosen = {name: value for name, value in filters.items() if value is not None}
        rows = list(Delivery.objects.filter(**chosen).order_by("-id")[:limit])
        shown = [deliveries_table(rows)] if rows else ["There are no such deliveries."]
        return Answer(DeliverySerializer(rows, many=True).data, shown)
