"""While a job runs its lease is renewed beside the work; when that fails the work must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import override_settings

from jobs.engine import lifecycle, runner
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import LeaseLost
from jobs.tests.engine_steps import QUEUE, changed, claimed, doing, statuses, waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short_leases() -> Iterator[None]:
    with override_settings(JOB_LEASE_SECONDS=0.6):
        yield


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_long_silent_piece_of_work_keeps_its_lease() -> None:
    job = claimed()
    first = job.lease_expires_at
    with Run(job) as run:
        assert eventually(lambda: Job.objects.get(pk=job.pk).lease_expires_at > first)
        run.check()


def test_work_ends_when_another_holds_the_lease() -> None:
    def work(run: Run) -> None:
        changed(run.job, lease_token=uuid4())
        while True:
            run.check()
            time.sleep(0.02)

    job = waiting()
    with doing(work):
        runner.run_next(QUEUE)
    assert statuses(job) == ["IN_PROGRESS"]


def test_a_worker_that_cannot_renew_for_a_whole_lease_no_longer_trusts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def renew(**_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(lifecycle, "renew", renew)
    with Run(claimed()) as run:
        run.check()
        assert eventually(lambda: run.heartbeat.lost)
        with pytest.raises(LeaseLost):
            run.check()


def test_a_renewal_that_is_never_answered_is_noticed_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(lifecycle, "renew", lambda **_: answered.wait(30))
    try:
        with Run(claimed()) as run:
            assert eventually(lambda: run.heartbeat.lost)
            with pytest.raises(LeaseLost):
                run.check()
            answered.set()
    finally:
        answered.set()


def test_the_heart_stops_with_the_work() -> None:
    with Run(claimed()) as run:
        assert eventually(run.heartbeat.is_alive)
    assert not run.heartbeat.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat of")]


def test_a_heartbeat_keeps_no_job_alive_that_hangs() -> None:
    job = claimed()
    with Run(job) as run:
        run.heartbeat._is_hung = lambda: True
        assert eventually(lambda: run.heartbeat.lost)
        with pytest.raises(LeaseLost):
            run.check()
    assert eventually(lambda: Job.objects.expired().filter(pk=job.pk).exists())
    assert lifecycle.rescue(job_id=job.pk) is not None
