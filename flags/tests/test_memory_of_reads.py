"""What a process keeps in memory takes a bounded part of it, also where no two organizations are alike."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings

from conftest import Cast
from flags.definitions import loader
from flags.evaluation import context_loader
from flags.evaluation.context_loader import Columns
from flags.evaluation.engine import Definition, StateValue, Unit
from flags.serving.cache_events import OrganizationMoved, StatesWritten
from flags.serving.compiled_environment import ANSWER_BYTES, compiled_flags_for
from flags.serving.compiled_flags import CompiledFlag
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.packed_states import InternedStates
from flags.tests.asking import Asking
from flags.tests.evaluating import columns_of
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
FLAGS = 100
OTHERS: dict[str, Any] = {
    "id": 2, "key": "other", "enabled": True, "threshold": 5, "salt": "salt", "unit": Unit.ANCESTOR, "level": 1,
    "whitelist": frozenset({"ann"}), "environments": {"staging": True}, "prerequisites": ("needed",),
    "archived": True, "killed": True, "hash_version": 2,
}  # fmt: skip
"""For each field of a definition a value that is not the default."""
LOOKED_AT = [one.name for one in dataclasses.fields(Definition) if one.name != "version"]
"""The fields that evaluation looks at."""


def states_of(organization_id: int) -> Columns:
    """A hundred values, each of a change of its own."""
    return columns_of(
        StateValue(number, enabled=True, source_id=organization_id, number=organization_id * FLAGS + number)
        for number in range(1, FLAGS + 1)
    )


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[EvaluationCache]:
    """A process that may take 16 megabytes, with a hundred flags, half of them rolled out to half of the users."""
    flags = {
        key: Definition(number, key, threshold=50_000 if number % 2 else 100_000)
        for number, key in enumerate((f"flag-{number:03}" for number in range(FLAGS)), 1)
    }
    monkeypatch.setattr(loader, "load_definitions", lambda: flags)
    monkeypatch.setattr(
        context_loader, "load_columns", lambda number: ((1, number), ("root", f"org-{number}"), states_of(number))
    )
    with override_settings(EVALUATION_CACHE_MEGABYTES=16):
        yield EvaluationCache()


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
    shared = InternedStates()
    first = shared.of(states_of(1))
    assert taken(lambda: shared.of(states_of(2))) < 2_500
    assert len({state.source_id for state in first.rows}) == 1


def test_the_same_values_of_other_flags_are_other_states() -> None:
    shared = InternedStates()
    one, other = (shared.of(columns_of([StateValue(flag, enabled=True, source_id=9, number=7)])) for flag in (1, 2))
    assert one is not other
    assert one.fingerprint != other.fingerprint


def test_changes_make_the_same_states_in_whatever_order_they_come() -> None:
    shared = InternedStates()
    news = [StateValue(flag, enabled=True, source_id=9, number=flag) for flag in (5, 2, 7)]
    found = set()
    for order in itertools.permutations(news):
        states = shared.of(columns_of([]))
        for state in order:
            states = shared.after(states, state)
        found.add(states)
    assert found == {shared.of(columns_of(news))}


def test_states_are_counted_as_long_as_somebody_has_them() -> None:
    shared = InternedStates()
    one, same, other = shared.of(states_of(1)), shared.of(states_of(1)), shared.of(states_of(2))
    assert one is same
    full = shared.size
    del other
    assert shared.size == full // 2
    del one, same
    assert shared.size == 0


def test_organizations_that_all_differ_take_no_more_than_they_may(memory: EvaluationCache) -> None:
    for number in range(1, 5_000):
        view = memory.view(number)
    assert 3_000 < len(memory) < 4_000  # of about three kilobytes, in two thirds of 16 megabytes
    assert view is memory.view(4_999)


def test_answers_are_kept_for_those_who_asked_last_and_for_no_more_than_they_may_take(memory: EvaluationCache) -> None:
    known = memory.definitions()
    first = memory.view(1)
    kept = compiled_flags_for(known, first.states, "")
    made = taken(
        lambda: [
            compiled_flags_for(known, memory.view(number).states, "").bulk.entries(first, "u", b"u")
            for number in range(2, 12)
        ]
    )
    assert made < 10 * FLAGS * ANSWER_BYTES
    for number in range(12, 200):
        compiled_flags_for(known, memory.view(number).states, "")
        assert compiled_flags_for(known, first.states, "") is kept  # asked for all the time
    prepared = known.prepared[""]
    assert len(prepared.kept) == len(prepared.turns) == 16 * 2**20 // 3 // (FLAGS * ANSWER_BYTES)


def test_organizations_share_the_answers_that_are_the_same(memory: EvaluationCache) -> None:
    known = memory.definitions()
    own = columns_of([StateValue(1, enabled=True, source_id=9, number=1000), *memory.view(7).states.rows[1:]])
    ours, theirs = memory.view(7), memory.view(8)
    theirs.states = memory._shared.of(own)
    one, other = compiled_flags_for(known, ours.states, ""), compiled_flags_for(known, theirs.states, "")
    assert one is not other
    assert one.of("flag-000") is not other.of("flag-000")
    assert one.of("flag-001") is other.of("flag-001")


def test_answers_of_former_definitions_go_with_them(memory: EvaluationCache, monkeypatch: pytest.MonkeyPatch) -> None:
    view = memory.view(1)
    former = compiled_flags_for(memory.definitions(), view.states, "")
    monkeypatch.setattr(loader, "load_definitions", lambda: {"other": Definition(1, "other")})
    latter = compiled_flags_for(memory.read_definitions(), view.states, "")
    assert former.of("other") is None
    assert latter.of("other") is not None


def test_answers_outlive_a_reading_that_finds_the_same_definitions(memory: EvaluationCache) -> None:
    states = memory.view(1).states
    kept = compiled_flags_for(memory.definitions(), states, "")
    assert compiled_flags_for(memory.read_definitions(), states, "") is kept


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_change_of_whatever_evaluation_looks_at_reaches_the_process_and_changes_the_etag(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = Definition(1, "flag")
    monkeypatch.setattr(loader, "load_definitions", lambda: {"flag": before})
    tag = asking.all(targetingKey="joe").headers["ETag"]
    after = dataclasses.replace(before, **{name: OTHERS[name]})
    monkeypatch.setattr(loader, "load_definitions", lambda: {after.key: after})
    assert asking.memory.read_definitions().by_key == {after.key: after}
    assert asking.all(targetingKey="joe").headers["ETag"] != tag


def test_definitions_are_the_same_in_whatever_order_a_process_keeps_what_has_none(
    memory: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"user-{number}" for number in range(100)]  # as sets, of which some are in another order when turned
    fingerprints = []
    for names, environments in ((users, ("staging", "test")), (users[::-1], ("test", "staging"))):
        flag = Definition(1, "flag", whitelist=frozenset(names), environments=dict.fromkeys(environments, True))
        monkeypatch.setattr(loader, "load_definitions", lambda flag=flag: {"flag": flag})
        fingerprints.append(memory.read_definitions().fingerprint)
    assert fingerprints[0] == fingerprints[1]


def test_invented_environments_have_no_answers_of_their_own(memory: EvaluationCache) -> None:
    known, states = memory.definitions(), memory.view(1).states
    usual = compiled_flags_for(known, states, "")
    assert all(compiled_flags_for(known, states, f"invented-{number}") is usual for number in range(20))
    assert list(known.prepared) == [""]


def test_the_answers_of_all_environments_together_take_no_more_than_they_may(
    memory: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = ["", "production", "staging", "test"]
    flag = Definition(1, "flag", environments=dict.fromkeys(environments[1:], True))
    monkeypatch.setattr(loader, "load_definitions", lambda: {"flag": flag})
    with override_settings(EVALUATION_CACHE_MEGABYTES=1):
        known = memory.read_definitions()
        for number in range(1, 200):
            states = memory.view(number).states
            for environment in environments:
                compiled_flags_for(known, states, environment)
    kept = [len(known.prepared[environment].kept) for environment in environments]
    assert sum(kept) == 2**20 // 3 // ANSWER_BYTES
    assert all(kept)


def test_a_flag_keeps_the_answers_for_no_more_values_than_it_may() -> None:
    shared, flag = InternedStates(), CompiledFlag(Definition(1, "flag"), "", 3)
    for number in range(1, 20):
        flag.own(shared.of(states_of(number)))
        assert len(flag._known) <= 3


def test_the_organization_that_was_asked_for_longest_ago_goes_first_and_its_key_with_it(
    memory: EvaluationCache,
) -> None:
    memory._most = 3
    first, second, _ = (memory.view(number) for number in (1, 2, 3))
    assert memory.view(1) is first
    memory.view(4)
    assert memory.view(1) is first
    assert set(memory._ids) == {"org-1", "org-3", "org-4"}
    assert memory.view(2) is not second


def test_a_change_concerns_those_after_the_one_where_its_part_begins(memory: EvaluationCache) -> None:
    new = StateValue(1, enabled=False, source_id=1, number=10**6)
    for number in (4, 5, 6, 7):
        memory.view(number)
    memory.take(StatesWritten(1, 4, 6, new))
    assert [memory.view(number).states.row(1) == (1, 10**6, False) for number in (4, 5, 6, 7)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_key_that_has_passed_to_another_organization_finds_that_one(cast: Cast) -> None:
    memory = EvaluationCache()
    assert memory.view_by_key("oslo").organization_id == cast.oslo.pk
    for organization, key in ((cast.oslo, "former"), (cast.rome, "oslo")):
        Organization.objects.filter(pk=organization.pk).update(key=key)
        memory.take(OrganizationMoved(organization.pk))
    assert memory.view_by_key("oslo").organization_id == cast.rome.pk
    assert memory.view_by_key("former").organization_id == cast.oslo.pk


def test_while_nobody_hears_of_changes_what_is_known_is_read_anew_soon(
    memory: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, known = memory.view(1), memory.definitions()
    monkeypatch.setattr(loader, "load_definitions", dict)
    memory.listening(hears=False)
    age(memory, seconds=2)
    assert memory.view(1) is not view
    assert memory.definitions() is not known
    memory.listening(hears=True)
    view, known = memory.view(1), memory.definitions()
    age(memory, seconds=2)
    assert (memory.view(1), memory.definitions()) == (view, known)


def test_a_database_that_is_away_is_not_asked_for_what_is_known_again_and_again(
    memory: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def find(number: int) -> None:
        tries.append(number)
        raise OperationalError("gone")

    view = memory.view(1)
    memory.listening(hears=False)
    monkeypatch.setattr(context_loader, "load_columns", find)
    age(memory, seconds=2)
    assert [memory.view(1) for _ in range(3)] == [view] * 3
    assert tries == [1]
    with pytest.raises(OperationalError):
        memory.view(2)


def age(memory: EvaluationCache, *, seconds: float) -> None:
    """Let what is known have been read so long ago."""
    memory._definitions_read_at -= seconds
    for view in memory._views.values():
        view.read_at -= seconds
