"""A kind of job that does what the test says, and jobs in whatever state a test needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from jobs.engine import claiming, lifecycle
from jobs.engine.kinds import Work, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import Status

KIND = "work-of-a-test"
QUEUE = "default"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_works: list[Work] = []


@job_kind(KIND, queue=QUEUE)
def _do(run: Run) -> None:
    if _works:
        _works[-1](run)


@contextmanager
def doing(work: Work) -> Iterator[None]:
    """While it lasts, jobs of this kind do `work`; otherwise nothing."""
    _works.append(work)
    try:
        yield
    finally:
        _works.remove(work)


@contextmanager
def before_each(method: str, do: Callable[..., object]) -> Iterator[None]:
    """While it lasts, `do` is called before each call of this method of a Run, with the run and the same arguments."""
    real = getattr(Run, method)

    def called(run: Run, *arguments: Any, **named: Any) -> Any:
        do(run, *arguments, **named)
        return real(run, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, method, called)
        yield


def in_pauses(monkeypatch: pytest.MonkeyPatch, module: ModuleType, do: Callable[[float], object]) -> None:
    """Have something done in place of each pause that the module makes; other threads sleep as ever."""
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=do, monotonic=time.monotonic))


def waiting(**columns: Any) -> Job:
    """A job that no worker has taken yet, of no organization."""
    job = lifecycle.create(kind=KIND, requested_by="alice", correlation_id="c-1")
    return changed(job, **columns) if columns else job


def claimed(**columns: Any) -> Job:
    """A job that a worker holds."""
    job = waiting(priority=1000)
    taken = claiming.claim(queue=QUEUE, worker="worker")
    assert taken is not None
    assert taken.pk == job.pk
    return changed(taken, **columns) if columns else taken


def lease_of(job: Job) -> UUID:
    """The token of the lease that the job had when it was loaded."""
    assert job.lease_token is not None
    return job.lease_token


def by_hand(status: str, **columns: Any) -> Job:
    """A row with this status, however impossible its history."""
    if status == Status.IN_PROGRESS:
        columns = {"lease_token": uuid4(), "lease_expires_at": LONG_AGO} | columns
    return Job.objects.create(kind=KIND, queue=QUEUE, status=status, **columns)


def changed(job: Job, **columns: Any) -> Job:
    """The job with some columns (never its status) written past the engine."""
    Job.objects.filter(pk=job.pk).update(**columns)
    job.refresh_from_db()
    return job


def make_due() -> None:
    """Let the time come for everything that waits."""
    Job.objects.filter(status=Status.PENDING).update(run_at=LONG_AGO)


def statuses(job: Job) -> list[str]:
    """How the work stands by each attempt of the job's chain, oldest first."""
    return [str(each.status) for each in Job.objects.of_chain(job.root_id)]


def endings(job: Job) -> list[str]:
    """How each attempt of the job's chain ended by itself, oldest first; its status if it is open."""
    return [each.attempt_status for each in Job.objects.of_chain(job.root_id)]


def latest(job: Job) -> Job:
    """The newest attempt of the job's chain."""
    found = Job.objects.of_chain(job.root_id).last()
    assert found is not None
    return found


def database_time() -> datetime:
    """The database's clock, now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
