"""What other apps have each worker do again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.engine import maintenance, rescuer_service, stop_request
from jobs.engine.maintenance import maintenance_task
from jobs.engine.maintenance_service import MaintenanceService
from jobs.engine.rescuer_service import RescuerService

Started = Callable[[], None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Started]:
    """Starts a worker's services, which take turns all the time and know the maintenance tasks of the test only."""
    settings.JOB_SWEEP_SECONDS = 0.01
    monkeypatch.setattr(rescuer_service, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(maintenance, "_tasks", {})
    for name in ("wake_waiting", "rescue_expired", "expire_waiting"):
        monkeypatch.setattr(rescuer_service, name, lambda: 0)
    monkeypatch.setattr(rescuer_service.worker_registry, "beat", lambda **_: None)
    services = [RescuerService(queues=lambda: ["default"], concurrency=1), MaintenanceService()]

    def start() -> None:
        for service in services:
            service.start()

    yield start
    stop_request.request_stop()
    for service in services:
        service.stop(within=10)
    assert not any(service.is_alive() for service in services)
    stop_request.withdraw()


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


def test_a_maintenance_task_is_done_again_and_again(started: Started) -> None:
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
    monkeypatch.setattr(rescuer_service, "rescue_expired", rescues)

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
