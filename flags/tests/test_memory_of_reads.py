"""What a process keeps in memory takes a bounded part of it, also where no two organizations are alike."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError
from django.test import override_settings

from flags import definitions, places
from flags.evaluation import Definition, State
from flags.places import Columns
from flags.serving.answers import ANSWER_BYTES, answers_for
from flags.serving.memory import Memory
from flags.serving.states import Shared
from flags.tests.evaluating import columns_of

pytestmark = pytest.mark.django_db
FLAGS = 100


def states_of(organization_id: int) -> Columns:
    """A hundred values, each of a change of its own."""
    return columns_of(
        State(number, enabled=True, source_id=organization_id, number=organization_id * FLAGS + number)
        for number in range(1, FLAGS + 1)
    )


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    """A process that may take 16 megabytes, with a hundred flags, half of them rolled out to half of the users."""
    flags = {
        key: Definition(number, key, threshold=50_000 if number % 2 else 100_000)
        for number, key in enumerate((f"flag-{number:03}" for number in range(FLAGS)), 1)
    }
    monkeypatch.setattr(definitions, "read_all", lambda: flags)
    monkeypatch.setattr(places, "find", lambda number: ((1, number), ("root", f"org-{number}"), states_of(number)))
    with override_settings(EVALUATION_CACHE_MEGABYTES=16):
        yield Memory()


def taken(what: Callable[[], object]) -> int:
    """The bytes that are taken afterwards and were not before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = what()
        after, _ = tracemalloc.get_traced_memory()
        del kept
        return after - before
    finally:
        tracemalloc.stop()


def test_states_of_a_hundred_flags_take_two_kilobytes_or_so() -> None:
    shared = Shared()
    first = shared.of(states_of(1))
    assert taken(lambda: shared.of(states_of(2))) < 2_500
    assert len({state.source_id for state in first.rows}) == 1


def test_states_are_counted_as_long_as_somebody_has_them() -> None:
    shared = Shared()
    one, same, other = shared.of(states_of(1)), shared.of(states_of(1)), shared.of(states_of(2))
    assert one is same
    full = shared.size
    del other
    assert shared.size == full // 2
    del one, same
    assert shared.size == 0


def test_organizations_that_all_differ_take_no_more_than_they_may(memory: Memory) -> None:
    for number in range(1, 5_000):
        view = memory.view(number)
    assert 3_000 < len(memory) < 4_000  # of about three kilobytes, in two thirds of 16 megabytes
    assert view is memory.view(4_999)


def test_answers_are_kept_for_those_who_asked_last_and_for_no_more_than_they_may_take(memory: Memory) -> None:
    known = memory.definitions()
    first = memory.view(1)
    kept = answers_for(known, first.states, "")
    made = taken(
        lambda: [
            answers_for(known, memory.view(number).states, "").bulk.entries(first, "u", b"u") for number in range(2, 12)
        ]
    )
    assert made < 10 * FLAGS * ANSWER_BYTES
    for number in range(12, 200):
        answers_for(known, memory.view(number).states, "")
        assert answers_for(known, first.states, "") is kept  # asked for all the time
    prepared = known.prepared[""]
    assert len(prepared.kept) == len(prepared.turns) == 16 * 2**20 // 3 // (FLAGS * ANSWER_BYTES)


def test_organizations_share_the_answers_that_are_the_same(memory: Memory) -> None:
    known = memory.definitions()
    own = columns_of([State(1, enabled=True, source_id=9, number=1000), *memory.view(7).states.rows[1:]])
    ours, theirs = memory.view(7), memory.view(8)
    theirs.known = memory._shared.of(own), 0
    one, other = answers_for(known, ours.states, ""), answers_for(known, theirs.states, "")
    assert one is not other
    assert one.of("flag-000") is not other.of("flag-000")
    assert one.of("flag-001") is other.of("flag-001")


def test_answers_of_former_definitions_go_with_them(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    view = memory.view(1)
    former = answers_for(memory.definitions(), view.states, "")
    monkeypatch.setattr(definitions, "read_all", lambda: {"other": Definition(1, "other")})
    latter = answers_for(memory.read_definitions(), view.states, "")
    assert former.of("other") is None
    assert latter.of("other") is not None


def test_while_nobody_hears_of_changes_what_is_known_is_read_anew_soon(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, known = memory.view(1), memory.definitions()
    monkeypatch.setattr(definitions, "read_all", dict)
    memory.listening(hears=False)
    age(memory, seconds=2)
    assert memory.view(1) is not view
    assert memory.definitions() is not known
    memory.listening(hears=True)
    view, known = memory.view(1), memory.definitions()
    age(memory, seconds=2)
    assert (memory.view(1), memory.definitions()) == (view, known)


def test_a_database_that_is_away_is_not_asked_for_what_is_known_again_and_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def find(number: int) -> None:
        tries.append(number)
        raise OperationalError("gone")

    view = memory.view(1)
    memory.listening(hears=False)
    monkeypatch.setattr(places, "find", find)
    age(memory, seconds=2)
    assert [memory.view(1) for _ in range(3)] == [view] * 3
    assert tries == [1]
    with pytest.raises(OperationalError):
        memory.view(2)


def age(memory: Memory, *, seconds: float) -> None:
    """Let what is known have been read so long ago."""
    memory._definitions_read_at -= seconds
    for view in memory._views.values():
        view.read_at -= seconds
