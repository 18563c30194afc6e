"""The Celery app, and what a worker does when it starts and stops."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from celery import Celery, Task
from celery.signals import (
    beat_init,
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from flagsite.core import actor
from flagsite.core.adapters import kombu_redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")


class WorkersOwnTask(Task):
    """A task that nobody asked for, whoever sent the message: the actor of what it does is the system."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):
            return self.run(*args, **kwargs)  # not by Celery's own __call__, which would hide the request's retries


app = Celery("flagsite", task_cls=WorkersOwnTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

kombu_redis.report_closed_channels_as_lost_connections()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when someone listens here; Django has set it up."""


@worker_ready.connect
def start_worker_services(sender: Any, **_: Any) -> None:
    """Rescue jobs and do maintenance in the worker's main process too, so that both happen though beat is away."""
    from jobs.engine.maintenance_service import MaintenanceService  # noqa: PLC0415 - Django is set up only now
    from jobs.engine.rescuer_service import RescuerService  # noqa: PLC0415

    RescuerService(queues=sorted(app.amqp.queues.consume_from), concurrency=sender.controller.concurrency).start()
    MaintenanceService().start()


@worker_shutting_down.connect
def ask_jobs_to_stop(**_: Any) -> None:
    """Let running jobs finish their chunk and go back to their queue."""
    from jobs.engine import shutdown  # noqa: PLC0415

    shutdown.request_stop()


@worker_shutdown.connect
def leave(**_: Any) -> None:
    """Take this worker off the worker registry; if the database is away, it is forgotten later."""
    from django.db import DatabaseError  # noqa: PLC0415

    from jobs.engine import worker_registry  # noqa: PLC0415

    with suppress(DatabaseError):
        worker_registry.leave()


@worker_process_init.connect
def trace_jobs(**_: Any) -> None:
    """Trace what this child of the worker does, if that is wanted."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.start("worker")


@worker_process_shutdown.connect
def send_traces(**_: Any) -> None:
    """The child ends without Python's own clean end."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.flush()


@beat_init.connect
def trace_schedule(**_: Any) -> None:
    """Trace what beat asks for, if that is wanted."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.start("beat")
