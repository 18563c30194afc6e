"""Who waits for changes is woken by those that concern it, and by no others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError

from flags.definitions.models import Flag
from flags.evaluation.engine import StateValue
from flags.segments.models import Segment
from flags.serving.cache_events import (
    AccessKeyChanged,
    AttributeChanged,
    CacheEvent,
    EverythingOf,
    OrganizationMoved,
    StatesWritten,
)
from flags.serving.subscriptions import Subscription, Subscriptions
from orgs.tests.failing_queries import failing_queries

PATHS = {"nowhere": (), "root": (1,), "region": (1, 2), "store": (1, 2, 5), "other": (1, 3), "stranger": (4,)}
STATE = StateValue(1, enabled=True, source_id=1, number=1)


class Clients:
    """One of each of these organizations, with a key of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.all = Subscriptions()
        self.each = {name: Subscription(path, name, loop) for name, path in PATHS.items()}

    def woken_by(self, event: CacheEvent) -> dict[str, tuple[bool, bool]]:
        """For each that is woken whether something changed for it, and whether it must be checked again."""
        for one in self.each.values():
            one.has_changes = one.must_recheck = False
        self.all.notify(event)
        found = {name: (one.has_changes, one.must_recheck) for name, one in self.each.items()}
        return {name: how for name, how in found.items() if any(how)}


def rule(attribute: str) -> dict[str, Any]:
    """A targeting rule that reads an attribute of the organization."""
    clause = {"attribute": f"org.{attribute}", "op": "in", "values": ["x"]}
    return {"id": "one", "clauses": [clause], "serve": {"variant": "on"}}


def define(key: str, *, reads: str) -> None:
    """Define a flag with such a rule, which is available to clients if it is called `shown`."""
    Flag.objects.create(key=key, available_to_clients=key == "shown", targeting_rules=[rule(reads)])


@pytest.fixture
def clients() -> Iterator[Clients]:
    loop = asyncio.new_event_loop()
    made = Clients(loop)
    with ExitStack() as stack:
        for one in made.each.values():
            stack.enter_context(made.all.waiting(one))
        yield made
    assert len(made.all) == 0
    loop.close()


@pytest.mark.parametrize(
    ("root", "after", "last", "woken"),
    [
        (1, 0, 9, {"root", "region", "store", "other"}),
        (1, 1, 3, {"region", "other"}),
        (1, 2, 5, {"other", "store"}),
        (2, 0, 9, {"region", "store"}),
        (5, 5, 9, set()),
    ],
)
def test_a_written_part_of_a_subtree_wakes_those_in_it(
    clients: Clients, root: int, after: int, last: int, woken: set[str]
) -> None:
    assert clients.woken_by(StatesWritten(root, after, last, STATE)) == dict.fromkeys(woken, (True, False))


def test_a_moved_organization_wakes_all_below_it_to_be_checked_again(clients: Clients) -> None:
    assert clients.woken_by(OrganizationMoved(2)) == dict.fromkeys(("region", "store"), (True, True))


def test_an_attribute_of_an_organization_wakes_all_below_it_and_one_of_many_all_who_have_an_organization(
    clients: Clients, db: None
) -> None:
    define("shown", reads="plan")
    below = dict.fromkeys(("region", "store"), (True, False))
    assert clients.woken_by(AttributeChanged(2, "plan")) == below
    assert set(clients.woken_by(AttributeChanged(0, "plan"))) == set(PATHS) - {"nowhere"}


def test_an_attribute_that_no_rule_reads_wakes_nobody_until_a_rule_does(clients: Clients, db: None) -> None:
    define("shown", reads="plan")
    for organization_id in (2, 0):
        assert clients.woken_by(AttributeChanged(organization_id, "size")) == {}
    Flag.objects.update(targeting_rules=[rule("size")])
    assert set(clients.woken_by(EverythingOf.DEFINITIONS)) == set(PATHS)
    assert set(clients.woken_by(AttributeChanged(2, "size"))) == {"region", "store"}
    assert clients.woken_by(AttributeChanged(2, "plan")) == {}


def test_an_attribute_that_a_segment_reads_wakes_those_below(clients: Clients, db: None) -> None:
    clause = {"attribute": "org.plan", "op": "in", "values": ["gold"]}
    Segment.objects.create(key="gold", rules=[{"clauses": [clause]}])
    asks = {"op": "inSegment", "values": ["gold"]}
    Flag.objects.create(key="shown", targeting_rules=[{"id": "one", "clauses": [asks], "serve": {"variant": "on"}}])
    assert set(clients.woken_by(AttributeChanged(2, "plan"))) == {"region", "store"}


def test_while_the_database_is_away_every_attribute_wakes_those_below(clients: Clients, db: None) -> None:
    with failing_queries(OperationalError("away")):
        assert set(clients.woken_by(AttributeChanged(2, "size"))) == {"region", "store"}
    assert clients.woken_by(AttributeChanged(2, "size")) == {}


def test_a_changed_key_wakes_those_who_came_with_it(clients: Clients) -> None:
    assert clients.woken_by(AccessKeyChanged("store")) == {"store": (False, True)}


def test_definitions_concern_all_and_after_other_kinds_all_are_checked_again(clients: Clients) -> None:
    assert clients.woken_by(EverythingOf.DEFINITIONS) == dict.fromkeys(PATHS, (True, False))
    for kind in (EverythingOf.KEYS, EverythingOf.TREE):
        assert clients.woken_by(kind) == dict.fromkeys(PATHS, (False, True))


def test_who_was_moved_is_woken_by_what_is_written_where_it_is_now(clients: Clients) -> None:
    clients.all.move(clients.each["store"], (1, 3, 5))
    assert clients.woken_by(StatesWritten(2, 0, 9, STATE)) == {"region": (True, False)}
    assert set(clients.woken_by(StatesWritten(3, 0, 9, STATE))) == {"store", "other"}


def test_a_client_is_woken_by_flags_that_are_available_to_clients_only(clients: Clients, db: None) -> None:
    shown, hidden, needed = (
        Flag.objects.create(key=key, available_to_clients=key == "shown") for key in ["shown", "hidden", "needed"]
    )
    shown.prerequisites.add(needed)
    store = clients.each["store"]
    store.is_client = True
    clients.all.client_flags.know()
    for flag, woken in ((shown, True), (needed, True), (hidden, False)):
        state = StateValue(flag.pk, enabled=True, source_id=1, number=1)
        assert ("store" in clients.woken_by(StatesWritten(1, 0, 9, state))) == woken, flag
        Flag.objects.filter(pk=flag.pk).update(rollout_percentage=5)
        everybody = clients.woken_by(EverythingOf.DEFINITIONS)
        assert ("store" in everybody, "root" in everybody) == (woken, True), flag
    Flag.objects.filter(key="hidden").update(available_to_clients=True)
    assert "store" in clients.woken_by(EverythingOf.DEFINITIONS)
    assert "store" in clients.woken_by(EverythingOf.TREE)


def test_a_client_is_woken_by_attributes_that_the_rules_of_its_flags_read(clients: Clients, db: None) -> None:
    for key in ("shown", "hidden"):
        define(key, reads=key)
    clients.each["store"].is_client = True
    clients.all.client_flags.know()
    assert set(clients.woken_by(AttributeChanged(2, "shown"))) == {"region", "store"}
    assert set(clients.woken_by(AttributeChanged(2, "hidden"))) == {"region"}
