"""Tasks of Django's Tasks interface, for django-tasks-db. See `other_queue.py`."""

from __future__ import annotations

from django_tasks import task
from other_queue import do_nothing, do_something_slow


@task
def nothing() -> None:
    """Do nothing."""
    do_nothing()


@task
def slow() -> None:
    """Take some seconds."""
    do_something_slow()
