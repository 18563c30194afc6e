"""The shells through which Celery reaches the flags; each holds one call."""

from __future__ import annotations

from celery import shared_task

from flags.schedules import ticking


@shared_task(name="flags.apply_schedules")
def apply_schedules() -> None:
    """Apply the scheduled changes that are due; beat asks for it each five seconds."""
    ticking.tick()
