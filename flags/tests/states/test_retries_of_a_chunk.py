"""How long a chunk is tried again after passing errors, of which the wait for the tree is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from flags.states import propagation
from flags.states.propagation import RETRY_TIMEOUT_SECONDS
from orgs.errors import TreeBusy

pytestmark = pytest.mark.usefixtures("reconnections")


class Chunk:
    """A step that ends in these ways, one after the other, each after so many seconds; and a clock for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ends: tuple[float, Exception]) -> None:
        self.pauses: list[float] = []
        self._now = 0.0
        self._ends = list(ends)
        clock = SimpleNamespace(sleep=self.pauses.append, monotonic=lambda: self._now)
        monkeypatch.setattr(propagation, "time", clock)

    def carried_out(self) -> bool:
        """Try it with patience; True once it came through."""
        wanted: Any = SimpleNamespace(check=lambda: None, reload=lambda: None)
        return propagation._retry_transient_errors(wanted, self._once)

    def _once(self) -> bool:
        if self._ends:
            seconds, error = self._ends.pop(0)
            self._now += seconds
            raise error
        return True


def test_trouble_that_lasts_longer_than_the_patience_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    away = OperationalError("away")
    assert Chunk(monkeypatch, (RETRY_TIMEOUT_SECONDS / 2, away), (RETRY_TIMEOUT_SECONDS / 3, away)).carried_out()
    with pytest.raises(OperationalError):
        Chunk(monkeypatch, (RETRY_TIMEOUT_SECONDS / 2, away), (RETRY_TIMEOUT_SECONDS, away)).carried_out()


def test_after_a_wait_for_the_tree_however_long_there_is_as_much_patience_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = OperationalError("away")
    chunk = Chunk(
        monkeypatch, (1, away), (1, away), (RETRY_TIMEOUT_SECONDS, TreeBusy()), (RETRY_TIMEOUT_SECONDS / 2, away)
    )
    assert chunk.carried_out()
    assert chunk.pauses == [0.1, 0.2, 0.1, 0.2]
