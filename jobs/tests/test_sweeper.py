"""When a worker's own sweep does what."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from jobs import stopping, sweeper
from jobs.sweeper import Sweeper


@pytest.mark.parametrize("seconds", [0.5, 2.5, 5.0])
def test_dead_workers_are_looked_for_as_often_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, settings: Any, seconds: float
) -> None:
    settings.JOB_SWEEP_SECONDS = seconds
    now, looked = [100.0], []
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(sweeper, "rescue_expired", lambda: looked.append(now[0]))
    monkeypatch.setattr(sweeper, "wake_waiting", lambda: None)
    monkeypatch.setattr(sweeper.workers, "beat", lambda **_: None)
    one = Sweeper(queues=["default"], concurrency=1)
    while len(looked) < 4:
        one._turn()
        now[0] += max(one._pause(), 0.01)  # a turn takes its time
    assert all(later - earlier < seconds + 0.02 for earlier, later in itertools.pairwise(looked))


def test_a_worker_that_stops_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bool] = []
    monkeypatch.setattr(sweeper, "TICK", 0.0)
    monkeypatch.setattr(sweeper, "rescue_expired", lambda: 0)
    monkeypatch.setattr(sweeper.workers, "beat", lambda *, is_stopping, **_: said.append(is_stopping))
    monkeypatch.setattr(sweeper, "wake_waiting", stopping.request_stop)
    try:
        Sweeper(queues=["default"], concurrency=1)._sweep_for_ever()
    finally:
        stopping.withdraw()
    assert said == [False, True]
