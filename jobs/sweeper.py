"""The worker's own sweep: a thread of its main process; jobs are rescued and retries begin though beat is away."""

from __future__ import annotations

import threading
import time

import structlog
from django.conf import settings
from django.db import connection

from jobs import stopping
from jobs.sweep import rescue_expired, wake_waiting

TICK = 1.0
"""Seconds between two looks for due jobs, so that a retry begins close to its time."""

log = structlog.get_logger(__name__)


def start() -> threading.Thread:
    """Wake workers for due jobs every TICK, rescue every JOB_SWEEP_SECONDS, until the worker stops."""
    thread = threading.Thread(target=_sweep_for_ever, name="sweeper", daemon=True)
    thread.start()
    return thread


def _sweep_for_ever() -> None:
    pause = threading.Event()
    next_rescue = time.monotonic()
    while not pause.wait(TICK) and not stopping.is_requested():
        try:
            wake_waiting()
            if time.monotonic() >= next_rescue:
                next_rescue = time.monotonic() + settings.JOB_SWEEP_SECONDS
                rescue_expired()
        except Exception as error:  # noqa: BLE001 - database away: the next sweep tries again
            log.warning("sweep_failed", error=str(error))
            connection.close()
