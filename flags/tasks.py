"""The Celery tasks of flags, which beat sends. Each task calls one function."""

from __future__ import annotations

from celery import shared_task

from flags.insights import adoption_counts, stale_events, usage_store
from flags.schedules import due
from flags.states import drift, expiry


@shared_task(name="flags.apply_schedules")
def apply_schedules() -> None:
    """Apply the scheduled changes that are due. Beat sends this task every five seconds."""
    due.apply_due()


@shared_task(name="flags.end_expired_settings")
def end_expired_settings() -> None:
    """End the settings and exemptions whose time has come. Beat sends this task every ten seconds."""
    expiry.end_expired()


@shared_task(name="flags.check_drift")
def check_drift() -> None:
    """Compare some flag states with the settings. Beat sends this task every hour."""
    drift.check_drift()


@shared_task(name="flags.move_uses")
def move_uses() -> None:
    """Move the content of the usage buffer into the database. Beat sends this task every minute."""
    usage_store.store_buffered_usage()


@shared_task(name="flags.count_adoption")
def count_adoption() -> None:
    """Count the organizations for which each flag is on. Beat sends this task every hour."""
    adoption_counts.count_adoption()


@shared_task(name="flags.tell_stale")
def tell_stale() -> None:
    """Tell which flags have become stale. Beat sends this task every hour."""
    stale_events.tell_stale()
