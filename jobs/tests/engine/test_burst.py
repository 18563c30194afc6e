"""A burst runs what is due without a broker, says what failed, and ends."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction

from jobs.engine import lifecycle, stop_request, wakeup
from jobs.engine.burst import Burst, BurstResult
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.engine.worker_model import Worker
from jobs.tests.engine_steps import KIND, QUEUE, doing, endings, statuses, waiting

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _as_before(settings: LazySettings) -> Iterator[None]:
    """Afterwards, this process sends wake-ups again."""
    settings.JOB_SWEEP_SECONDS = 0.5
    yield
    wakeup.poll([])
    stop_request.withdraw()


def burst(**options: Any) -> BurstResult:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(wakeup.sender, "put", lambda _: os._exit(3))  # a child that sends a wake-up would be a fault
        return Burst(**{"queues": [QUEUE, "cleanup"], "concurrency": 2, "name": "burst"} | options).run()


def test_a_burst_runs_the_due_jobs_and_those_that_they_create() -> None:
    def work(run: Run) -> None:
        if not run.job.arguments:
            lifecycle.create(kind=KIND, arguments={"is_second": True})

    jobs = [waiting() for _ in range(5)]
    with doing(work):
        result = burst()
    assert result == BurstResult(attempts=10, failed_chains=0, is_complete=True)
    assert not result.has_failed
    assert [statuses(job) for job in jobs] == [["COMPLETED"]] * 5
    assert not Job.objects.exclude(status="COMPLETED").exists()
    assert not Worker.objects.exists()


def test_a_burst_leaves_the_jobs_of_other_queues_alone() -> None:
    job = waiting()
    assert burst(queues=["report"]).attempts == 0
    assert statuses(job) == ["PENDING"]


def test_a_chain_that_is_failed_makes_the_burst_fail() -> None:
    def work(run: Run) -> None:
        raise ValueError("no luck")

    Queue.objects.update(max_retries=0)
    waiting()
    with doing(work):
        result = burst()
    assert result == BurstResult(attempts=1, failed_chains=1, is_complete=True)
    assert result.has_failed


def test_a_burst_does_not_wait_for_retries_unless_it_is_asked_to() -> None:
    def work(run: Run) -> None:
        if not run.job.parent_job_id:
            raise ValueError("no luck yet")

    Queue.objects.update(backoff_base=1.0, backoff_delay=1.0)
    job = waiting()
    with doing(work):
        assert burst() == BurstResult(attempts=1, failed_chains=0, is_complete=True)
        assert statuses(job) == ["RETRYING", "PENDING"]
        assert not burst(until_done=True).has_failed
    assert endings(job) == ["FAILED", "COMPLETED"]


def test_a_burst_does_not_wait_for_a_paused_queue_nor_for_what_is_due_much_later() -> None:
    waiting()
    Queue.objects.filter(name=QUEUE).update(paused_at="2000-01-01T00:00Z")
    assert burst(until_done=True) == BurstResult(attempts=0, failed_chains=0, is_complete=True)
    Queue.objects.filter(name=QUEUE).update(paused_at=None)
    Job.objects.update(run_at="2999-01-01T00:00Z")
    assert burst(until_done=True) == BurstResult(attempts=0, failed_chains=0, is_complete=True)


def test_a_burst_rescues_the_job_of_a_process_that_died_and_runs_its_retry(settings: LazySettings) -> None:
    def work(run: Run) -> None:
        if not run.job.parent_job_id:
            os.kill(os.getpid(), signal.SIGKILL)

    settings.JOB_LEASE_SECONDS = 1.0
    job = waiting()
    with doing(work):
        result = burst(concurrency=1)
    assert endings(job) == ["FAILED", "COMPLETED"]
    assert result.is_complete


def test_a_signal_lets_the_running_jobs_go_back_to_their_queue() -> None:
    main = os.getpid()

    def work(run: Run) -> None:
        os.kill(main, signal.SIGTERM)
        while True:
            run.check()
            time.sleep(0.01)

    job = waiting()
    with doing(work):
        result = burst()
    assert result.has_failed
    assert not result.is_complete
    assert statuses(job) == ["PENDING"]


def test_a_burst_sends_wake_ups_for_other_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(wakeup.sender, "put", lambda wake_up: sent.append(wake_up.queue))
    wakeup.poll(["default"])
    with transaction.atomic():
        wakeup.wake("default")
        wakeup.wake("report")
    assert sent == ["report"]
