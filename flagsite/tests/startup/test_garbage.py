"""What a web process holds for long is looked through for garbage once an hour."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from flagsite import garbage

SERVED = """
import gc
from flagsite import wsgi
before = gc.get_freeze_count()
lasting = [[] for _ in range(1000)]
gc.collect()
print(before > 10_000, gc.get_freeze_count() - before >= 1000)
"""


class Held:
    """Something that refers to itself, so that only a look finds out that it is garbage."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The seconds that the process goes by; what lasts is set aside in it."""
    now = [1000.0]
    monkeypatch.setattr(garbage, "monotonic", lambda: now[0])
    callbacks = list(gc.callbacks)
    garbage.set_aside_what_lasts()
    yield now
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_has_survived_a_look_is_not_looked_at_again_within_the_hour(clock: list[float]) -> None:
    held = Held()
    gc.collect()
    kept = weakref.ref(held)
    del held
    gc.collect()
    assert kept() is not None
    clock[0] += garbage.ANEW_SECONDS - 1
    gc.collect()
    assert kept() is not None


def test_what_became_garbage_where_it_was_set_aside_goes_after_an_hour_and_not_before(clock: list[float]) -> None:
    for _ in range(2):
        held = Held()
        gc.collect()
        kept = weakref.ref(held)
        del held
        gc.collect()
        assert kept() is not None
        clock[0] += garbage.ANEW_SECONDS
        gc.collect()
        assert kept() is None


def test_garbage_that_is_new_goes_at_each_look(clock: list[float]) -> None:
    del clock
    new = weakref.ref(Held())
    assert new() is not None
    gc.collect()
    assert new() is None


def test_looks_at_what_is_young_set_nothing_aside(clock: list[float]) -> None:
    del clock
    before = gc.get_freeze_count()
    lasting = [[number] for number in range(100)]
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() <= before
    assert lasting


def test_a_web_process_sets_aside_what_it_has_loaded_and_what_lasts() -> None:
    said = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "True"]
