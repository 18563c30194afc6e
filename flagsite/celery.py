"""The Celery app, and what a worker does when it starts and stops."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from flagsite import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")

app = Celery("flagsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

broker.correct_closed_channels()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when someone listens here; Django has set it up."""


@worker_ready.connect
def start_sweeping(**_: Any) -> None:
    """Rescue jobs from the worker's main process too, so that it happens though beat is away."""
    from jobs import sweeper  # noqa: PLC0415 - Django is set up only now

    sweeper.start()


@worker_shutting_down.connect
def ask_jobs_to_stop(**_: Any) -> None:
    """Let running jobs finish their chunk and go back to their queue."""
    from jobs import stopping  # noqa: PLC0415

    stopping.request_stop()
