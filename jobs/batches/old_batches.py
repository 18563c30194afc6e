"""Batches that the clean-up deletes: those that ended long ago and have no chain any more."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from jobs.batches.models import Batch
from jobs.engine.models import Job
from jobs.operations.cleanup import OldRows

CHUNK = 2000
"""Batches that one short transaction deletes."""


def old_batches(days: int | None = None) -> QuerySet[Batch]:
    """Return the batches that ended long ago and have no chain. The clean-up deletes the chains before the batches."""
    if days is None:
        days = min(settings.JOBS_KEEP_COMPLETED_DAYS, settings.JOBS_KEEP_FAILED_DAYS)
    chains = Job.objects.filter(batch_id=OuterRef("pk"), parent_job=None)
    return Batch.objects.filter(~Exists(chains), finished_at__lt=Now() - timedelta(days=days))


def delete_some(_: int | None, days: int | None = None) -> tuple[int | None, int]:
    """Delete the next old batches. Returns a position, which is None at the end, and the number of deleted batches."""
    with connection.cursor() as cursor:
        ids = list(old_batches(days).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        cursor.execute("DELETE FROM jobs_batch WHERE id = ANY(%s)", [ids])
        return (ids[-1] if len(ids) == CHUNK else None), cursor.rowcount


OLD_BATCHES = OldRows("batches", lambda days: old_batches(days).count(), delete_some)
