"""The Celery app, and the functions that run when a worker or beat starts or stops."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from celery import Celery, Task
from celery.signals import (
    beat_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from flagsite.core import actor
from flagsite.core.adapters import kombu_redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")


class SystemTask(Task):
    """A task with the system as its actor. A job that runs in the task sets its own actor."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):
            return self.run(*args, **kwargs)  # not super().__call__, which would hide the request's retries


app = Celery("flagsite", task_cls=SystemTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

kombu_redis.report_closed_channels_as_lost_connections()


@setup_logging.connect
def keep_logging_configuration(**_: Any) -> None:
    """Do nothing. Because this signal has a receiver, Celery keeps the logging configuration of Django."""


@worker_init.connect
@beat_init.connect
def refuse_unsuitable_database(**_: Any) -> None:
    """End this worker or beat, if Flagsite cannot work with the database."""
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - Django is ready only now

    from flagsite.core.db import requirements  # noqa: PLC0415

    try:
        requirements.refuse_unsuitable_database()
    except ImproperlyConfigured as error:
        sys.exit(f"Flagsite: {error}")


@worker_ready.connect
def start_worker_services(sender: Any, **_: Any) -> None:
    """Run the rescuer and the maintenance tasks in the worker's main process too, so that they work without beat."""
    from jobs.engine.maintenance_service import MaintenanceService  # noqa: PLC0415 - Django is ready only now
    from jobs.engine.rescuer_service import RescuerService  # noqa: PLC0415
    from jobs.engine.watch_service import WatchService  # noqa: PLC0415

    RescuerService(
        queues=lambda: sorted(app.amqp.queues.consume_from),  # `flagsite.worker` changes them
        concurrency=sender.controller.concurrency,
        name=sender.hostname,
    ).start()
    MaintenanceService().start()
    WatchService().start()


@worker_shutting_down.connect
def ask_jobs_to_stop(**_: Any) -> None:
    """Ask running jobs to finish their chunk and to go back to their queue."""
    from jobs.engine import stop_request  # noqa: PLC0415

    stop_request.request_stop()


@worker_shutdown.connect
def leave_worker_registry(**_: Any) -> None:
    """Remove this worker from the worker registry. If the database is away, the entry expires later."""
    from django.db import DatabaseError  # noqa: PLC0415

    from jobs.engine import worker_registry  # noqa: PLC0415

    with suppress(DatabaseError):
        worker_registry.leave()


@worker_process_init.connect
def trace_jobs(**_: Any) -> None:
    """Start tracing in this child of the worker, if tracing is configured."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.start("worker")


@worker_process_shutdown.connect
def send_traces(**_: Any) -> None:
    """Send the remaining spans, because the child ends without Python's exit handlers."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.flush()


@beat_init.connect
def trace_schedule(**_: Any) -> None:
    """Start tracing in beat, if tracing is configured."""
    from flagsite import tracing  # noqa: PLC0415

    tracing.start("beat")
