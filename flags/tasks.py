"""The shells through which Celery beat looks after flags; each holds one call."""

from __future__ import annotations

from celery import shared_task

from flags.insights import adoption_counts, usage_store
from flags.schedules import due


@shared_task(name="flags.apply_schedules")
def apply_schedules() -> None:
    """Apply the scheduled changes that are due; beat asks for it each five seconds."""
    due.apply_due()


@shared_task(name="flags.move_uses")
def move_uses() -> None:
    """Move what all processes have counted into the database; beat asks for it each minute."""
    usage_store.store_buffered_usage()


@shared_task(name="flags.count_adoption")
def count_adoption() -> None:
    """Count on how many organizations each flag is on; beat asks for it each hour."""
    adoption_counts.count_adoption()
