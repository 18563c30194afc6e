"""A slow garbage collection freezes the objects that survived it, for an hour."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from flagsite.web import garbage_collection

WEB_PROCESS = """
import gc
from flagsite import wsgi
from flagsite.web import garbage_collection
before = gc.get_freeze_count()
lasting = [[] for _ in range(1000)]
garbage_collection.SLOW_COLLECTION_SECONDS = 0
gc.collect()
print(before > 10_000, gc.get_freeze_count() - before >= 1000)
"""


class Clock:
    """The time that the process sees, and how much of it a collection takes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.collections_take = 2 * garbage_collection.SLOW_COLLECTION_SECONDS
        self.worked = 100.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        self.worked += self.collections_take
        return self.worked


class Cycle:
    """Something that refers to itself, so that only a collection finds out that it is garbage."""

    def __init__(self) -> None:
        self.itself = self


def garbage_that_survived_a_collection() -> weakref.ref[Cycle]:
    """It became garbage afterwards."""
    held = Cycle()
    gc.collect()
    return weakref.ref(held)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of a process that freezes its objects."""
    made = Clock()
    monkeypatch.setattr(garbage_collection, "monotonic", made.monotonic)
    monkeypatch.setattr(garbage_collection, "thread_time", made.thread_time)
    callbacks = list(gc.callbacks)
    garbage_collection.freeze_long_lived_objects()
    yield made
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_has_survived_a_slow_collection_is_not_collected_within_the_hour(clock: Clock) -> None:
    survivor = garbage_that_survived_a_collection()
    gc.collect()
    assert survivor() is not None
    clock.now += garbage_collection.UNFREEZE_SECONDS - 1
    gc.collect()
    assert survivor() is not None


def test_what_has_survived_a_quick_collection_is_collected_by_the_next(clock: Clock) -> None:
    clock.collections_take = 0.9 * garbage_collection.SLOW_COLLECTION_SECONDS
    survivor = garbage_that_survived_a_collection()
    assert survivor() is not None
    gc.collect()
    assert survivor() is None


def test_what_became_garbage_while_it_was_frozen_goes_after_an_hour_and_not_before(clock: Clock) -> None:
    for _ in range(2):
        survivor = garbage_that_survived_a_collection()
        gc.collect()
        assert survivor() is not None
        clock.now += garbage_collection.UNFREEZE_SECONDS
        gc.collect()
        assert survivor() is None


def test_garbage_that_is_new_goes_at_each_collection(clock: Clock) -> None:
    new = weakref.ref(Cycle())
    assert new() is not None
    gc.collect()
    assert new() is None


def test_collections_of_young_objects_freeze_nothing(clock: Clock) -> None:
    before = gc.get_freeze_count()
    lasting = [[number] for number in range(100)]
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() <= before
    assert any(one is lasting for one in gc.get_objects())


def test_without_web_tuning_python_collects_as_ever(settings: Any) -> None:
    settings.WEB_TUNING = False
    frozen, callbacks = gc.get_freeze_count(), list(gc.callbacks)
    garbage_collection.freeze_long_lived_objects()
    assert gc.get_freeze_count() <= frozen
    assert gc.callbacks == callbacks


@pytest.mark.parametrize(("tuning", "frozen"), [("true", "True"), ("false", "False")])
def test_a_web_process_freezes_what_it_has_loaded_and_what_lasts_unless_tuning_is_off(tuning: str, frozen: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", WEB_PROCESS],
        env={**os.environ, "WEB_TUNING": tuning}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.split() == [frozen, frozen]
