"""Figures about deliveries, for `doctor` and for the metrics."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, Q
from django.db.models.functions import Now

from jobs.notifications.models import Delivery, DeliveryState

DAY = timedelta(days=1)
STANDINGS = ("sent", "failed", "retried", "waiting", "outbox")


def counts_of_a_day() -> dict[str, dict[str, int]]:
    """Return for each channel how many deliveries of the last 24 hours there are, by how they stand.

    These are `sent` (accepted), `failed`, `retried` (tried again after a failure), `waiting` and `outbox`.
    """
    is_open = Q(state__in=(DeliveryState.PENDING, DeliveryState.GATHERING))
    rows = (
        Delivery.objects.filter(created_at__gt=Now() - DAY)
        .values("channel")
        .order_by("channel")
        .annotate(
            sent=Count("pk", filter=Q(state=DeliveryState.SENT)),
            failed=Count("pk", filter=Q(state=DeliveryState.FAILED)),
            retried=Count("pk", filter=is_open & ~Q(error="")),
            waiting=Count("pk", filter=is_open & Q(error="")),
            outbox=Count("pk", filter=Q(state=DeliveryState.OUTBOX)),
        )
        .values_list("channel", *STANDINGS)
    )
    return {channel: dict(zip(STANDINGS, counts, strict=True)) for channel, *counts in rows}


def latest_error(channel: str) -> str:
    """Return why the newest delivery of the last 24 hours that failed or is tried again did so; empty if none."""
    rows = Delivery.objects.filter(channel=channel, created_at__gt=Now() - DAY).exclude(error="")
    found = rows.exclude(state=DeliveryState.OUTBOX).order_by("-pk").values_list("error", flat=True).first()
    return found or ""
