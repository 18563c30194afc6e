"""The events that can be told, and `notify`, which records one in the transaction of what has happened.

An event that nobody has subscribed to costs no statement: each process knows for some seconds which events somebody
wants. `jobs.notifications.telling` makes deliveries of the recorded events.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from jobs.notifications.models import Event

KNOWN_SECONDS = 10.0
"""How long a process relies on what it knows of the subscriptions."""
LONGEST_TEXT = 1000
_summaries: dict[str, str] = {}
_of_all: set[str] = set()


def event(name: str, summary: str, *, of_all: bool = False) -> str:
    """Register an event that can be told, with a sentence for people. Returns the name.

    With `of_all`, it always concerns all organizations together, so nobody is told who sees only one of them.
    """
    _summaries[name] = summary
    if of_all:
        _of_all.add(name)
    return name


JOB_FAILED = event("job.failed", "A job has failed, and its automatic retries are used up.")
BATCH_ENDED = event("batch.ended", "A batch has ended.")
QUEUE_PAUSED = event("queue.paused", "A person has paused a queue.", of_all=True)
WORKER_GONE = event("worker.gone", "A worker has not reported for a while.", of_all=True)


def all_events() -> dict[str, str]:
    """Return all events by name, each with its sentence."""
    return dict(sorted(_summaries.items()))


def concerns_organizations(name: str) -> bool:
    """Return whether the event can concern a single organization, so that its subscription is told of it."""
    return name not in _of_all


class _Wanted:
    """The events that somebody has subscribed to, as this process knows them."""

    names: frozenset[str] = frozenset()
    until: float = 0.0


def is_wanted(name: str) -> bool:
    """Return whether somebody has subscribed to the event."""
    if time.monotonic() >= _Wanted.until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT unnest(events) FROM jobs_subscription WHERE ended_because = ''")
            remember({row[0] for row in cursor.fetchall()})
    return name in _Wanted.names


def remember(names: set[str], *, seconds: float = KNOWN_SECONDS) -> None:
    """Rely for some seconds on these being the events that somebody has subscribed to."""
    _Wanted.names, _Wanted.until = frozenset(names), time.monotonic() + seconds


def forget() -> None:
    """Ask the database again at the next event, because this process has changed the subscriptions."""
    _Wanted.until = 0.0


def notify(
    name: str,
    text: str,
    /,
    *,
    subject: str,
    organization_id: int | None = None,
    text_below: str = "",
    page: tuple[Any, ...] = (),
    **details: Any,
) -> None:
    """Record an event in the transaction of what has happened, if somebody has subscribed to it.

    `text` is a sentence for people, `subject` names the object, such as `job:17`, and `details` is JSON for programs.
    `page` has the name of the admin site's page of the object, and the arguments of its address.
    With `text_below`, the event concerns each organization below `organization_id` too, or each one if that is None.
    Who sees only such an organization gets this sentence and no details, because it must not tell what is above.
    """
    if name not in _summaries:
        raise LookupError(f"The event {name!r} is not registered.")
    if not is_wanted(name):
        return
    Event.objects.create(
        name=name,
        organization_id=organization_id,
        text_below=text_below,
        subject=subject[:300],
        text=text[:LONGEST_TEXT],
        page=reverse(page[0], args=page[1:]) if page else "",
        details=details,
    )
    if settings.JOBS_INLINE:  # no worker tells the events every few seconds
        transaction.on_commit(partial(current_app.signature("jobs.tell_events").apply))
