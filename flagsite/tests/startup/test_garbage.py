"""A look for garbage that took long sets aside what lasts, for an hour."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from flagsite.web import garbage_collection

SERVED = """
import gc
from flagsite import wsgi
from flagsite.web import garbage_collection
before = gc.get_freeze_count()
lasting = [[] for _ in range(1000)]
garbage_collection.LONG_SECONDS = 0
gc.collect()
print(before > 10_000, gc.get_freeze_count() - before >= 1000)
"""


class Clock:
    """What the process goes by, and how long its looks take."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looks_take = 2 * garbage_collection.LONG_SECONDS
        self.worked = 100.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        self.worked += self.looks_take
        return self.worked


class Held:
    """Something that refers to itself, so that only a look finds out that it is garbage."""

    def __init__(self) -> None:
        self.itself = self


def garbage_that_survived_a_look() -> weakref.ref[Held]:
    """It became garbage afterwards."""
    held = Held()
    gc.collect()
    return weakref.ref(held)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of a process in which what lasts is set aside."""
    made = Clock()
    monkeypatch.setattr(garbage_collection, "monotonic", made.monotonic)
    monkeypatch.setattr(garbage_collection, "thread_time", made.thread_time)
    callbacks = list(gc.callbacks)
    garbage_collection.freeze_long_lived_objects()
    yield made
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_has_survived_a_long_look_is_not_looked_at_again_within_the_hour(clock: Clock) -> None:
    survivor = garbage_that_survived_a_look()
    gc.collect()
    assert survivor() is not None
    clock.now += garbage_collection.ANEW_SECONDS - 1
    gc.collect()
    assert survivor() is not None


def test_what_has_survived_a_short_look_is_looked_at_again(clock: Clock) -> None:
    clock.looks_take = 0.9 * garbage_collection.LONG_SECONDS
    survivor = garbage_that_survived_a_look()
    assert survivor() is not None
    gc.collect()
    assert survivor() is None


def test_what_became_garbage_where_it_was_set_aside_goes_after_an_hour_and_not_before(clock: Clock) -> None:
    for _ in range(2):
        survivor = garbage_that_survived_a_look()
        gc.collect()
        assert survivor() is not None
        clock.now += garbage_collection.ANEW_SECONDS
        gc.collect()
        assert survivor() is None


def test_garbage_that_is_new_goes_at_each_look(clock: Clock) -> None:
    new = weakref.ref(Held())
    assert new() is not None
    gc.collect()
    assert new() is None


def test_looks_at_what_is_young_set_nothing_aside(clock: Clock) -> None:
    before = gc.get_freeze_count()
    lasting = [[number] for number in range(100)]
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() <= before
    assert any(one is lasting for one in gc.get_objects())


def test_a_web_process_sets_aside_what_it_has_loaded_and_what_lasts() -> None:
    said = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "True"]
