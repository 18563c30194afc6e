"""Watching a chain: until it has ended, with few queries, and Ctrl-C ends the watching only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from flagsite.core.db import transient_errors
from jobs.console import chain_polling
from jobs.engine import claiming, lifecycle, worker_registry
from jobs.engine.models import Job, Queue
from jobs.operations import job_operations, queue_operations
from jobs.tests.engine_steps import QUEUE, changed, claimed, in_pauses, latest, lease_of, make_due, waiting
from orgs.tests.commands import run
from orgs.tests.failing_queries import failing_queries

pytestmark = pytest.mark.django_db
Steps = Iterator[Callable[[], object]]

AWAY = OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made, none of which takes time."""
    made: list[float] = []
    for module in (chain_polling, transient_errors):
        in_pauses(monkeypatch, module, made.append)
    return made


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Steps], None]:
    """Have one step after the other done in the pauses between two looks."""

    def arrange(steps: Steps) -> None:
        in_pauses(monkeypatch, chain_polling, lambda _: next(steps)())

    return arrange


def claim() -> Job:
    make_due()
    job = claiming.claim(queue=QUEUE, worker="w")
    assert job is not None
    return job


def progress(job: Job, processed: int) -> None:
    lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), processed=processed)


def fail(job: Job, *, permanent: bool = False) -> None:
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="the disk is full", permanent=permanent)


def stop(job: Job) -> None:
    job_operations.cancel(job_id=job.pk, by="bob")
    lifecycle.stop(job_id=job.pk, lease=lease_of(job))


def complete(job: Job) -> None:
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))


def test_it_follows_the_chain_through_a_retry_to_its_good_end(
    meanwhile: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first = claimed(total=100)
    held = [first]
    steps: list[Callable[[], object]] = [
        lambda: progress(first, 30),
        lambda: fail(first),
        lambda: held.append(claim()),
        lambda: progress(held[-1], 100),
        lambda: complete(held[-1]),
    ]
    meanwhile(iter(steps))
    ran = run("job", first.pk, "--follow", "--json")
    assert ran.status == 0
    assert [one["status"] for one in ran.document["attempts"]] == ["FAILED", "COMPLETED"]
    retry = latest(first).pk
    assert capsys.readouterr().err.splitlines()[-5:] == [
        f"job {first.pk} IN_PROGRESS, attempt 1/4: 0 of 100",
        f"job {first.pk} IN_PROGRESS, attempt 1/4: 30 of 100",
        f"job {retry} PENDING, attempt 2/4: 0",
        f"job {retry} IN_PROGRESS, attempt 2/4: 0",
        f"job {retry} COMPLETED, attempt 2/4: 100 of 100",
    ]


@pytest.mark.parametrize("end", ["failed", "partly", "cancelled"])
def test_the_exit_status_is_1_unless_all_is_done(end: str, meanwhile: Any) -> None:
    job = claimed(total=10)
    if end == "partly":
        changed(job, processed=9, failed=1)
    endings: dict[str, Callable[[], object]] = {
        "failed": lambda: fail(job, permanent=True),
        "partly": lambda: complete(job),
        "cancelled": lambda: stop(job),
    }
    meanwhile(iter([endings[end]]))
    ran = run("job", job.pk, "--follow")
    assert ran.status == 1
    assert {"failed": "FAILED", "partly": "COMPLETED", "cancelled": "CANCELLED"}[end] in ran.out


def test_a_chain_that_has_ended_is_shown_at_once(pauses: list[float]) -> None:
    job = claimed()
    complete(job)
    assert run("job", job.pk, "--follow").status == 0
    assert pauses == []


def test_pauses_grow_to_a_second_and_a_look_is_one_query(pauses: list[float], django_assert_num_queries: Any) -> None:
    looks = chain_polling.poll_chain(waiting().pk)
    next(looks)
    for _ in range(20):
        with django_assert_num_queries(1):
            next(looks)
    assert pauses[0] == 0.2
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0


def test_ctrl_c_ends_the_watching_and_not_the_job(meanwhile: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = claimed()

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    meanwhile(iter([ctrl_c]))
    ran = run("job", job.pk, "--follow", "--json")
    assert (ran.status, ran.out) == (130, "")
    assert f"The command has stopped, and job {job.pk} goes on." in capsys.readouterr().err
    job.refresh_from_db()
    assert (job.status, job.cancel_requested_at) == ("IN_PROGRESS", None)


def test_a_job_that_is_deleted_meanwhile_is_said_so(meanwhile: Any) -> None:
    job = claimed()
    meanwhile(iter([lambda: Job.objects.filter(pk=job.pk).delete()]))
    ran = run("job", job.pk, "--follow")
    assert ran.status == 1
    assert "There is no such job" in ran.error


def test_a_database_that_is_away_for_a_moment_is_waited_for(pauses: list[float], reconnections: list[str]) -> None:
    job = waiting()
    looks = chain_polling.poll_chain(job.pk)
    with failing_queries(AWAY, times=2):
        assert next(looks) == job
    assert len(reconnections) == 2


@pytest.mark.usefixtures("reconnections")
def test_a_database_that_stays_away_is_given_up(pauses: list[float]) -> None:
    job = waiting()
    with failing_queries(AWAY), pytest.raises(OperationalError):
        next(chain_polling.poll_chain(job.pk, database_timeout=-1.0))


# --- why it waits -----------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a wait explained without waiting for it."""
    monkeypatch.setattr("jobs.console.follow.FIRST_EXPLANATION_SECONDS", 0.0)
    monkeypatch.setattr("jobs.console.follow.EXPLANATION_INTERVAL_SECONDS", 0.0)


def test_who_waits_is_told_why_each_reason_once(
    at_once: None, meanwhile: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = waiting()

    def steps() -> Steps:
        yield lambda: None
        yield lambda: None
        yield lambda: queue_operations.pause(QUEUE, by="bob", reason="deploy")
        yield lambda: None
        yield lambda: worker_registry.beat(queues=[QUEUE], concurrency=1, pid=1)
        yield lambda: queue_operations.resume(QUEUE, by="bob")
        yield lambda: complete(claim())

    meanwhile(steps())
    assert run("job", job.pk, "--follow").status == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("The queue", "No worker"))]
    assert told == [
        "No worker is alive for the queue default; the job waits until one starts.",
        "The queue default is paused by bob: deploy. To resume the queue: bin/manage resume_queue default",
    ]


def waits_for(job: Job) -> str | None:
    answer: str | None = run("job", job.pk, "--json").document["waitsFor"]
    return answer


def test_each_reason_to_wait_has_its_words() -> None:
    job = waiting()
    assert "No worker is alive" in str(waits_for(job))
    worker_registry.beat(queues=[QUEUE], concurrency=2, pid=1)
    assert waits_for(job) is None
    worker_registry.beat(queues=["propagation"], concurrency=2, pid=1)
    assert "No worker is alive" in str(waits_for(job))
    worker_registry.beat(queues=[QUEUE], concurrency=2, pid=1, is_stopping=True)
    assert "No worker is alive" in str(waits_for(job))
    worker_registry.beat(queues=[QUEUE], concurrency=1, pid=1)
    fail(running := claimed())
    assert str(waits_for(latest(running))).startswith("The next attempt begins in ")
    later = changed(job, run_at=timezone.now() + timedelta(days=3, minutes=1))
    assert waits_for(later) == f"The next attempt begins in 3 d, at {later.run_at:%Y-%m-%d %H:%M:%S} UTC."
    changed(job, run_at=timezone.now())
    claimed()
    assert waits_for(job) == "The workers are busy; running jobs of the queue default: 1."
    Queue.objects.filter(name=QUEUE).update(concurrency=1)
    assert waits_for(job) == "The queue default runs as many jobs as its concurrency allows: 1."
