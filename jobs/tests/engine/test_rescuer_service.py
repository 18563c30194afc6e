"""When a worker's rescuer service does what."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from structlog.testing import capture_logs

from jobs.engine import rescuer_service, stop_request
from jobs.engine.rescuer_service import RescuerService


@pytest.mark.parametrize("seconds", [0.5, 2.5, 5.0])
def test_dead_workers_are_looked_for_as_often_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, settings: Any, seconds: float
) -> None:
    settings.JOB_SWEEP_SECONDS = seconds
    now, looked = [100.0], []
    monkeypatch.setattr(rescuer_service, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(rescuer_service, "rescue_expired", lambda: looked.append(now[0]))
    monkeypatch.setattr(rescuer_service, "wake_waiting", lambda: None)
    monkeypatch.setattr(rescuer_service.worker_registry, "beat", lambda **_: None)
    one = RescuerService(queues=lambda: ["default"], concurrency=1)
    while len(looked) < 4:
        one.turn()
        now[0] += max(one.pause(), 0.01)  # a turn takes its time
    assert all(later - earlier < seconds + 0.02 for earlier, later in itertools.pairwise(looked))


def test_a_worker_that_stops_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bool] = []
    monkeypatch.setattr(rescuer_service, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(rescuer_service, "rescue_expired", lambda: 0)
    monkeypatch.setattr(rescuer_service.worker_registry, "beat", lambda *, is_stopping, **_: said.append(is_stopping))
    monkeypatch.setattr(rescuer_service, "wake_waiting", stop_request.request_stop)
    try:
        RescuerService(queues=lambda: ["default"], concurrency=1).run()
    finally:
        stop_request.withdraw()
    assert said == [False, True]


def test_a_database_that_is_away_is_told_once_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now, is_away = [100.0], [True]

    def ask(**_: Any) -> None:
        if is_away[0]:
            raise OperationalError("gone")

    monkeypatch.setattr(rescuer_service, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("expire_waiting", "rescue_expired", "wake_waiting"):
        monkeypatch.setattr(rescuer_service, name, ask)
    monkeypatch.setattr(rescuer_service.worker_registry, "beat", ask)
    one = RescuerService(queues=lambda: ["default"], concurrency=1)
    for away in (True, False, True):
        is_away[0] = away
        with capture_logs() as said:
            for _ in range(20):
                one.turn()
                now[0] += 1.0
        assert [line["event"] for line in said] == ["sweep_failed"] * away


def test_a_step_that_fails_by_itself_is_told_each_time() -> None:
    def fail() -> None:
        raise ValueError("a mistake of ours")

    one = RescuerService(queues=lambda: ["default"], concurrency=1)
    with capture_logs() as said:
        for _ in range(2):
            one.attempt(fail)
    assert len(said) == 2
