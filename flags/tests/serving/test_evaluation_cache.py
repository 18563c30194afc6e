"""What a process keeps in cache takes a bounded part of it, also where no two organizations are alike."""

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
from flags.errors import FlagNotFound
from flags.evaluation import context_loader
from flags.evaluation.context_loader import StateColumns
from flags.evaluation.engine import Definition, StateValue
from flags.evaluation.reasons import Unit
from flags.evaluation.wants import Want
from flags.serving.cache_events import OrganizationMoved, StatesWritten
from flags.serving.compiled_environment import COMPILED_BYTES, CompiledFlagsLimit
from flags.serving.compiled_flag import CompiledFlag
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.packed_states import InternedStates
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import Clause, TargetingRule
from flags.tests.evaluation.evaluating import columns_of
from flags.tests.serving.asking import Asking
from flags.values.types import FlagType
from flags.values.variants import Variant
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
FLAGS = 100
OTHERS: dict[str, Any] = {
    "id": 2, "key": "other", "enabled": True, "threshold": 5, "salt": "salt", "unit": Unit.ANCESTOR, "level": 1,
    "whitelist": frozenset({"ann"}), "environments": {"staging": True}, "prerequisites": ("needed",),
    "wants": {"a": Want(is_off=True)}, "archived": True, "killed": True, "hash_version": 2,
    "available_to_clients": True,
    "type": FlagType.STRING, "variants": (Variant(1, "blue", "#00f"),), "default_variant": "blue", "off_variant": "red",
    "targeting_rules": (TargetingRule("r", (Clause("plan", "in", ("pro",)),), enabled=True),),
    "default_rollout": RuleRollout(0, ranges=(("blue", 100_000),)),
}  # fmt: skip
"""For each field of a definition a value that is not the default."""
LOOKED_AT = [one.name for one in dataclasses.fields(Definition) if one.name != "version"]
"""The fields that evaluation looks at."""


def states_of(organization_id: int) -> StateColumns:
    """A hundred values, each of a change of its own."""
    return columns_of(
        StateValue(number, enabled=True, source_id=organization_id, number=organization_id * FLAGS + number)
        for number in range(1, FLAGS + 1)
    )


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[EvaluationCache]:
    """A process that may take 16 megabytes, with a hundred flags, half of them rolled out to half of the users."""
    flags = {
        key: Definition(number, key, threshold=50_000 if number % 2 else 100_000)
        for number, key in enumerate((f"flag-{number:03}" for number in range(FLAGS)), 1)
    }
    monkeypatch.setattr(loader, "load_definitions", lambda: flags)
    monkeypatch.setattr(
        context_loader,
        "load_organization",
        lambda number: ((1, number), ("root", f"org-{number}"), states_of(number), {}),
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
    interned = InternedStates()
    first = interned.of(states_of(1))
    assert taken(lambda: interned.of(states_of(2))) < 2_500
    assert len({state.source_id for state in first.rows}) == 1


def test_the_same_values_of_other_flags_are_other_states() -> None:
    interned = InternedStates()
    one, other = (interned.of(columns_of([StateValue(flag, enabled=True, source_id=9, number=7)])) for flag in (1, 2))
    assert one is not other
    assert one.fingerprint != other.fingerprint


def test_changes_make_the_same_states_in_whatever_order_they_come() -> None:
    interned = InternedStates()
    changes = [StateValue(flag, enabled=True, source_id=9, number=flag) for flag in (5, 2, 7)]
    found = set()
    for order in itertools.permutations(changes):
        states = interned.of(columns_of([]))
        for state in order:
            states = interned.with_value(states, state)
        found.add(states)
    assert found == {interned.of(columns_of(changes))}


def test_states_are_counted_as_long_as_somebody_has_them() -> None:
    interned = InternedStates()
    one, same, other = interned.of(states_of(1)), interned.of(states_of(1)), interned.of(states_of(2))
    assert one is same
    full = interned.size
    del other
    assert interned.size == full // 2
    del one, same
    assert interned.size == 0


def test_organizations_that_all_differ_take_no_more_than_they_may(cache: EvaluationCache) -> None:
    for number in range(1, 5_000):
        snapshot = cache.snapshot(number)
    assert 3_000 < len(cache) < 4_000  # of about three kilobytes, in two thirds of 16 megabytes
    assert snapshot is cache.snapshot(4_999)


def test_answers_are_kept_for_those_who_asked_last_and_for_no_more_than_they_may_take(cache: EvaluationCache) -> None:
    known = cache.definitions()
    first = cache.snapshot(1)
    kept = known.compiled_flags(first.states, "")
    made = taken(
        lambda: [
            known.compiled_flags(cache.snapshot(number).states, "").bulk.entries(first, "u", b"u")
            for number in range(2, 12)
        ]
    )
    assert made < 10 * FLAGS * COMPILED_BYTES
    for number in range(12, 200):
        known.compiled_flags(cache.snapshot(number).states, "")
        assert known.compiled_flags(first.states, "") is kept  # asked for all the time
    assert len(known.compiled[""].kept) == len(known.limit) == 16 * 2**20 // 3 // (FLAGS * COMPILED_BYTES)


def test_organizations_share_the_answers_that_are_the_same(cache: EvaluationCache) -> None:
    known = cache.definitions()
    own = columns_of([StateValue(1, enabled=True, source_id=9, number=1000), *cache.snapshot(7).states.rows[1:]])
    ours, theirs = cache.snapshot(7), cache.snapshot(8)
    theirs.states = cache._interned.of(own)
    one, other = known.compiled_flags(ours.states, ""), known.compiled_flags(theirs.states, "")
    assert one is not other
    assert one["flag-000"] is not other["flag-000"]
    assert one["flag-001"] is other["flag-001"]


def test_answers_of_former_definitions_go_with_them(cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = cache.snapshot(1)
    former = cache.definitions().compiled_flags(snapshot.states, "")
    monkeypatch.setattr(loader, "load_definitions", lambda: {"other": Definition(1, "other")})
    latter = cache.reload_definitions().compiled_flags(snapshot.states, "")
    with pytest.raises(FlagNotFound):
        former["other"]
    assert latter["other"] is not None


def test_answers_outlive_a_reading_that_finds_the_same_definitions(cache: EvaluationCache) -> None:
    states = cache.snapshot(1).states
    kept = cache.definitions().compiled_flags(states, "")
    assert cache.reload_definitions().compiled_flags(states, "") is kept


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_change_of_whatever_evaluation_looks_at_reaches_the_process_and_changes_the_etag(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = Definition(1, "flag")
    monkeypatch.setattr(loader, "load_definitions", lambda: {"flag": before})
    tag = asking.all(targetingKey="joe").headers["ETag"]
    after = dataclasses.replace(before, **{name: OTHERS[name]})
    monkeypatch.setattr(loader, "load_definitions", lambda: {after.key: after})
    assert asking.cache.reload_definitions().by_key == {after.key: after}
    assert asking.all(targetingKey="joe").headers["ETag"] != tag


def test_definitions_are_the_same_in_whatever_order_a_process_keeps_what_has_none(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"user-{number}" for number in range(100)]  # as sets, of which some are in another order when turned
    fingerprints = []
    for names, environments in ((users, ("staging", "test")), (users[::-1], ("test", "staging"))):
        flag = Definition(1, "flag", whitelist=frozenset(names), environments=dict.fromkeys(environments, True))
        monkeypatch.setattr(loader, "load_definitions", lambda flag=flag: {"flag": flag})
        fingerprints.append(cache.reload_definitions().fingerprint)
    assert fingerprints[0] == fingerprints[1]


def test_invented_environments_have_no_answers_of_their_own(cache: EvaluationCache) -> None:
    known, states = cache.definitions(), cache.snapshot(1).states
    usual = known.compiled_flags(states, "")
    assert all(known.compiled_flags(states, f"invented-{number}") is usual for number in range(20))
    assert list(known.compiled) == [""]


def test_the_answers_of_all_environments_together_take_no_more_than_they_may(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = ["", "production", "staging", "test"]
    flag = Definition(1, "flag", environments=dict.fromkeys(environments[1:], True))
    monkeypatch.setattr(loader, "load_definitions", lambda: {"flag": flag})
    with override_settings(EVALUATION_CACHE_MEGABYTES=1):
        known = cache.reload_definitions()
        for number in range(1, 200):
            states = cache.snapshot(number).states
            for environment in environments:
                known.compiled_flags(states, environment)
    kept = [len(known.compiled[environment].kept) for environment in environments]
    assert sum(kept) == 2**20 // 3 // COMPILED_BYTES
    assert all(kept)


def test_a_flag_keeps_the_answers_for_no_more_values_than_it_may() -> None:
    interned, flag = InternedStates(), CompiledFlag(Definition(1, "flag"), "", 3)
    for number in range(1, 20):
        flag.own_rules(interned.of(states_of(number)))
        assert len(flag._rules) <= 3


def test_organizations_on_long_paths_take_what_they_may_and_are_fewer(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = 3000
    names = [f"an-organization-on-level-{level:05}" for level in range(levels + 1000)]

    def on_long_path(number: int) -> object:
        path = range(number, number + levels)
        return tuple(path), tuple(names[level] for level in path), ((), (), (), ()), {}

    monkeypatch.setattr(context_loader, "load_organization", on_long_path)
    with override_settings(EVALUATION_CACHE_MEGABYTES=3):
        deep = EvaluationCache()
        size = taken(lambda: [deep.snapshot(number) for number in range(20)])
        assert size < 3 * 2**20
        assert 5 < len(deep) < 20
        deep.clear()
        assert deep.snapshot(1).ids[0] == 1
        assert len(deep) == 1


def test_the_organization_that_was_asked_for_longest_ago_goes_first_and_its_key_with_it(
    cache: EvaluationCache,
) -> None:
    cache._most = 3
    first, second, _ = (cache.snapshot(number) for number in (1, 2, 3))
    assert cache.snapshot(1) is first
    cache.snapshot(4)
    assert cache.snapshot(1) is first
    assert set(cache._ids) == {"org-1", "org-3", "org-4"}
    assert cache.snapshot(2) is not second


def test_a_change_concerns_those_after_the_one_where_its_part_begins(cache: EvaluationCache) -> None:
    new = StateValue(1, enabled=False, source_id=1, number=10**6)
    for number in (4, 5, 6, 7):
        cache.snapshot(number)
    cache.notify(StatesWritten(1, 4, 6, new))
    assert [cache.snapshot(number).states.row(1) == (1, 10**6, False) for number in (4, 5, 6, 7)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_key_that_has_passed_to_another_organization_finds_that_one(cast: Cast) -> None:
    cache = EvaluationCache()
    assert cache.snapshot_by_key("oslo").organization_id == cast.oslo.pk
    for organization, key in ((cast.oslo, "former"), (cast.rome, "oslo")):
        Organization.objects.filter(pk=organization.pk).update(key=key)
        cache.notify(OrganizationMoved(organization.pk))
    assert cache.snapshot_by_key("oslo").organization_id == cast.rome.pk
    assert cache.snapshot_by_key("former").organization_id == cast.oslo.pk


def test_while_nobody_hears_of_changes_what_is_known_is_read_anew_soon(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, known = cache.snapshot(1), cache.definitions()
    monkeypatch.setattr(loader, "load_definitions", dict)
    cache.set_listening(hears=False)
    age(cache, seconds=2)
    assert cache.snapshot(1) is not snapshot
    assert cache.definitions() is not known
    cache.set_listening(hears=True)
    snapshot, known = cache.snapshot(1), cache.definitions()
    age(cache, seconds=2)
    assert (cache.snapshot(1), cache.definitions()) == (snapshot, known)


def test_a_database_that_is_away_is_not_asked_for_what_is_known_again_and_again(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def find(number: int) -> None:
        tries.append(number)
        raise OperationalError("gone")

    snapshot = cache.snapshot(1)
    cache.set_listening(hears=False)
    monkeypatch.setattr(context_loader, "load_organization", find)
    age(cache, seconds=2)
    assert [cache.snapshot(1) for _ in range(3)] == [snapshot] * 3
    assert tries == [1]
    with pytest.raises(OperationalError):
        cache.snapshot(2)


def age(cache: EvaluationCache, *, seconds: float) -> None:
    """Let what is known have been read so long ago."""
    cache._definitions_read_at -= seconds
    for snapshot in cache._snapshots.values():
        snapshot.read_at -= seconds


def test_long_values_leave_room_for_fewer_organizations() -> None:
    flags = [
        Definition(1, "flag", type=FlagType.STRING, variants=(Variant(1, "v", text),)) for text in ("x", "x" * 16_000)
    ]
    short, long = (CompiledFlagsLimit([flag]).most for flag in flags)
    assert 10 * long < short
