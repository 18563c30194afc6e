"""What a process knows never goes back to what was before, whichever thread is faster."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flags.definitions import loader
from flags.evaluation import context_loader
from flags.evaluation.engine import Definition, StateValue
from flags.serving.cache_events import StatesWritten
from flags.serving.change_log import ChangeLog
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep import remote_evaluation
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.packed_states import NO_STATES
from flags.tests.serving.asking import Asking
from orgs.access.caller import Caller
from orgs.access.models import Role

OLD = {"checkout": Definition(1, "checkout", enabled=True)}
NEW = {"checkout": Definition(1, "checkout", enabled=True, killed=True)}


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> EvaluationCache:
    """A process that knows a flag and an organization without states."""
    monkeypatch.setattr(loader, "load_definitions", lambda: OLD)
    monkeypatch.setattr(
        context_loader, "load_organization", lambda number: ((number,), (f"org-{number}",), ((), (), (), ()), {})
    )
    made = EvaluationCache()
    made.definitions()
    made.snapshot(1)
    return made


def change(number: int, *, enabled: bool, flag_id: int = 1) -> StatesWritten:
    return StatesWritten(1, 0, 10, StateValue(flag_id, enabled, 1, number))


def test_definitions_that_were_read_before_a_change_do_not_replace_those_read_after_it(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = threading.Thread(target=cache.reload_definitions)

    def read_all() -> dict[str, Definition]:
        if threading.current_thread() is listener:
            return NEW
        listener.start()  # there was a commit, of which the listener hears while this has its rows already
        listener.join(0.2)
        return OLD

    monkeypatch.setattr(loader, "load_definitions", read_all)
    cache.reload_definitions()
    listener.join()
    assert cache.definitions().by_key["checkout"].killed


def test_definitions_that_were_read_before_something_was_missed_are_read_again(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = iter([OLD, NEW])

    def read_all() -> dict[str, Definition]:
        found = next(known)
        if found is OLD:
            cache.clear()
        return found

    monkeypatch.setattr(loader, "load_definitions", read_all)
    cache.reload_definitions()
    assert cache.definitions().by_key["checkout"].killed


def test_an_organization_that_was_read_before_something_was_missed_is_read_again(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(number: int) -> object:
        cache.clear()
        return (number,), ("former",), ((), (), (), ()), {}

    monkeypatch.setattr(context_loader, "load_organization", find)
    cache.snapshot(2)
    monkeypatch.setattr(
        context_loader, "load_organization", lambda number: ((number,), ("latter",), ((), (), (), ()), {})
    )
    assert cache.snapshot(2).keys == ("latter",)


def test_a_change_that_is_being_appended_while_somebody_catches_up_costs_no_older_one() -> None:
    log = ChangeLog()
    for number in range(1, 7):
        log.append(change(number, enabled=True))
    log._events.append((7, change(7, enabled=True)))  # and the position follows in a moment
    missed = log.since(4)
    assert missed is not None
    assert [number for number, _ in missed] == [5, 6, 7]


def test_a_snapshot_knows_the_last_change_that_it_really_got(cache: EvaluationCache) -> None:
    snapshot = cache.snapshot(1)
    cache.notify(change(1, enabled=True))
    cache._log._events.append((2, change(2, enabled=False)))
    assert cache.snapshot(1).position == 2
    cache._log.position = 2
    cache.notify(change(3, enabled=True))
    assert cache.snapshot(1) is snapshot
    assert [state.number for state in snapshot.states.rows] == [3]


def test_a_thread_that_is_slower_does_not_set_a_view_back(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.notify(change(1, enabled=True))
    since = cache._log.since

    def overtaken(position: int) -> object:
        found = since(position)
        monkeypatch.setattr(cache._log, "since", since)
        cache.notify(change(2, enabled=False))
        assert cache.snapshot(1).states.rows[0].enabled is False  # another thread, which is faster
        return found

    monkeypatch.setattr(cache._log, "since", overtaken)
    snapshot = cache.snapshot(1)
    assert snapshot.states.rows[0].number == snapshot.position == 2


def test_a_thread_that_is_overtaken_between_its_two_looks_at_a_view_loses_no_change(cache: EvaluationCache) -> None:
    class Overtaken(OrganizationSnapshot):
        looks = 0

        def __getattribute__(self, name: str) -> Any:
            if name in {"states", "position"}:
                Overtaken.looks += 1
                if Overtaken.looks == 2:
                    cache._catch_up(self)  # another thread, before one more change
                    cache.notify(change(2, enabled=True, flag_id=2))
            return super().__getattribute__(name)

    snapshot = Overtaken((1,), ("org-1",), NO_STATES, 0)
    cache.notify(change(1, enabled=True))
    cache._catch_up(snapshot)
    assert [state.number for state in snapshot.states.rows] == [1, 2]


def test_who_sees_that_a_view_knows_a_change_sees_the_change(cache: EvaluationCache) -> None:
    seen: list[list[int]] = []

    class Watched(OrganizationSnapshot):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "position":
                seen.append([state.number for state in self.states.rows])

    snapshot = Watched((1,), ("org-1",), NO_STATES, 0)
    cache.notify(change(1, enabled=True))
    cache._catch_up(snapshot)
    assert seen == [[], [1]]


def test_the_tag_is_that_of_the_answer_though_something_changes_in_between(
    cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking("key")
    asking.cache = asking.evaluation._cache = cache
    monkeypatch.setattr(asking.access_keys, "caller_with", lambda key: Caller("key:k", Role.READER))
    before = asking.all(organizationId=1)
    tag_of = remote_evaluation.entity_tag

    def overtaken(*about: Any) -> str:
        cache.notify(change(1, enabled=False))
        cache.snapshot(1)  # another thread has asked
        return tag_of(*about)

    monkeypatch.setattr(remote_evaluation, "entity_tag", overtaken)
    answer = asking.all(organizationId=1)
    assert (answer.headers["ETag"], answer.body) == (before.headers["ETag"], before.body)
