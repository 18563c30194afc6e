"""The clean-up of deliveries: those that ended DELIVERIES_KEEP_DAYS ago go."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs.notifications.deliveries import OPEN
from jobs.notifications.models import Delivery
from jobs.operations.cleanup import OldRows

BATCH_SIZE = 2000


def _old(days: int | None) -> QuerySet[Delivery]:
    keep = timedelta(days=settings.DELIVERIES_KEEP_DAYS if days is None else days)
    return Delivery.objects.filter(created_at__lt=Now() - keep).exclude(state__in=OPEN)


def _count(days: int | None) -> int:
    return _old(days).count()


def _delete_some(position: int | None, days: int | None) -> tuple[int | None, int]:
    ids = list(_old(days).filter(pk__gt=position or 0).order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE])
    Delivery.objects.filter(pk__in=ids).delete()
    return (ids[-1] if len(ids) == BATCH_SIZE else None), len(ids)


OLD_DELIVERIES = OldRows("deliveries", _count, _delete_some)
