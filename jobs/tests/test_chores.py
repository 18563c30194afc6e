"""What other apps have each worker do at every sweep."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.engine import maintenance, shutdown, worker_services
from jobs.engine.maintenance import maintenance_task
from jobs.engine.worker_services import WorkerServices

Started = Callable[[], None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Started]:
    """Starts a worker's sweeper that sweeps all the time, and knows the chores of the test only."""
    settings.JOB_SWEEP_SECONDS = 0.01
    monkeypatch.setattr(worker_services, "TICK", 0.01)
    monkeypatch.setattr(maintenance, "_chores", {})
    for name in ("wake_waiting", "rescue_expired"):
        monkeypatch.setattr(worker_services, name, lambda: 0)
    monkeypatch.setattr(worker_services.worker_registry, "beat", lambda **_: None)
    known = set(threading.enumerate())
    yield WorkerServices(queues=["default"], concurrency=1).start
    shutdown.request_stop()
    for thread in set(threading.enumerate()) - known:
        thread.join(10)
    shutdown.withdraw()


class Calls:
    """Counts calls; `wait_for` waits until there were so many."""

    def __init__(self) -> None:
        self._count = threading.Semaphore(0)

    def __call__(self, *_: Any) -> int:
        self._count.release()
        return 0

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self._count.acquire(timeout=10)


def test_a_chore_is_done_again_and_again(started: Started) -> None:
    calls = Calls()

    @maintenance_task
    def look() -> None:
        calls()

    started()
    calls.wait_for(3)


def test_one_that_fails_is_tried_again_and_keeps_no_other_from_being_done(started: Started) -> None:
    failures, calls = Calls(), Calls()

    @maintenance_task
    def fail() -> None:
        failures()
        raise RuntimeError("no luck")

    @maintenance_task
    def look() -> None:
        calls()

    started()
    failures.wait_for(2)
    calls.wait_for(2)


def test_a_slow_one_keeps_no_job_from_being_rescued(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    rescues, begun, done = Calls(), threading.Event(), threading.Event()
    monkeypatch.setattr(worker_services, "rescue_expired", rescues)

    @maintenance_task
    def take_long() -> None:
        begun.set()
        done.wait(30)

    started()
    try:
        assert begun.wait(10)
        rescues.wait_for(20)
    finally:
        done.set()
