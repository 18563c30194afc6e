"""List subscriptions."""

from __future__ import annotations

from typing import Any

from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console.notification_tables import subscriptions_table
from jobs.notifications.models import Subscription
from jobs.notifications.serializers import SubscriptionSerializer


class Command(OperatorCommand):
    help = "List all subscriptions, newest first, without secrets."

    def answer(self, **options: Any) -> Answer:
        rows = list(Subscription.objects.select_related("organization", "person").order_by("-id"))
        shown = [subscriptions_table(rows)] if rows else ["There are no subscriptions."]
        return Answer(SubscriptionSerializer(rows, many=True).data, shown)
