"""Kinds of jobs that do nothing or take some seconds, and a task that does nothing, for processes with Django."""

from __future__ import annotations

import time

from django.conf import settings
from django_tasks import task

from jobs.engine.kinds import job_kind
from jobs.engine.run import Run

KIND, SLOW_KIND = "nothing", "slow"
settings.TASKS = {"default": {"BACKEND": "jobs.django_tasks.backend.JobBackend"}}


@job_kind(KIND)
def nothing(run: Run) -> None:
    """Do nothing."""


@job_kind(SLOW_KIND)
def slow(run: Run) -> None:
    """Take some seconds, in which somebody may kill the worker."""
    time.sleep(3)


@task
def nothing_task() -> None:
    """Do nothing."""
