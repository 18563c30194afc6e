"""A process that listens knows of every change that was committed, and of none before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from conftest import Cast
from flags.definitions.models import Flag
from flags.serving.cache_events import AccessKeyChanged, CacheEvent, OrganizationMoved
from flags.serving.cache_updates import apply_events_to
from flags.serving.change_log import KEPT, ChangeLog
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.pg_listener import ChangeListener
from flags.states.set_flag import set_flag
from jobs.engine import runner
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.errors import OrganizationNotFound
from orgs.tests.api import Api
from orgs.tree import locks
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)


class Process:
    """A cache with a listener of its own, as each web process has one."""

    def __init__(self) -> None:
        self.cache = EvaluationCache()
        self.heard: list[object] = []
        self.gaps = 0
        handle = apply_events_to(self.cache, lambda: self.heard.append("keys"))

        def on_event(event: CacheEvent) -> None:
            handle(event)
            self.heard.append(event)

        self.hears: list[bool] = []
        self.listener = ChangeListener(on_event, self._gap, self._hearing)
        self.listener.start()
        eventually(lambda: self.listener.hears)

    def _gap(self) -> None:
        self.gaps += 1
        self.cache.clear()

    def _hearing(self, *, hears: bool) -> None:
        self.hears.append(hears)
        self.cache.set_listening(hears=hears)

    def value(self, organization: Organization, flag: str = "checkout") -> bool | None:
        """What it answers; None where nobody set it."""
        definition = self.cache.definitions().by_key[flag]
        state = self.cache.snapshot(organization.pk).context.states.get(definition.id)
        return None if state is None else state.enabled


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.listener.stop()


def eventually(condition: Callable[[], bool], within: float = 10) -> None:
    """Wait until it is so."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def test_a_change_on_a_leaf_is_seen_after_its_commit_and_not_before(cast: Cast, process: Process) -> None:
    Flag.objects.create(key="checkout")
    eventually(lambda: "checkout" in process.cache.definitions().by_key)
    assert process.value(cast.oslo) is None
    with transaction.atomic():
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
        time.sleep(0.1)
        assert process.heard.count("definitions") >= 1
        assert process.value(cast.oslo) is None
    eventually(lambda: process.value(cast.oslo) is True)


def test_a_job_is_seen_by_all_whom_it_reaches(cast: Cast, process: Process) -> None:
    set_flag(organization_id=cast.rome.pk, flag_key="checkout", enabled=False)
    eventually(lambda: "checkout" in process.cache.definitions().by_key)
    before = [process.value(one) for one in (*cast.of_acme, cast.rival)]
    assert before == [None, None, None, None, None, False, None]
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    while runner.run_next("propagation"):
        pass
    eventually(lambda: [process.value(one) for one in cast.of_acme] == [True] * 6)
    assert process.value(cast.rival) is None


def test_every_chunk_of_a_flag_that_nobody_had_is_seen(
    cast: Cast, process: Process, set_smallest_chunk: Callable[[int], None]
) -> None:
    set_smallest_chunk(2)
    Flag.objects.create(key="checkout")
    eventually(lambda: "checkout" in process.cache.definitions().by_key)
    assert [process.value(one) for one in cast.of_acme] == [None] * 6
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    while runner.run_next("propagation"):
        pass
    eventually(lambda: [process.value(one) for one in cast.of_acme] == [True] * 6)


def test_a_move_and_a_new_name_in_addresses_are_seen(cast: Cast, process: Process) -> None:
    assert process.cache.snapshot(cast.oslo.pk).ids == (cast.acme.pk, cast.north.pk, cast.oslo.pk)
    Organization.objects.get(pk=cast.oslo.pk).move_to(cast.south)
    eventually(lambda: process.cache.snapshot(cast.oslo.pk).ids == (cast.acme.pk, cast.south.pk, cast.oslo.pk))
    assert process.cache.snapshot_by_key(cast.rome.key).organization_id == cast.rome.pk
    Organization.objects.filter(pk=cast.rome.pk).update(key="roma")
    eventually(lambda: process.cache.snapshot(cast.rome.pk).keys[-1] == "roma")
    assert process.cache.snapshot_by_key("roma").organization_id == cast.rome.pk


def test_a_revoked_key_is_told_by_its_prefix(process: Process) -> None:
    record, _ = access_keys.create(name="k", role=Role.READER)
    access_keys.revoke(prefix=record.prefix)
    eventually(lambda: AccessKeyChanged(record.prefix) in process.heard)
    assert "keys" in process.heard  # so callers are asked for anew


def test_a_deleted_subtree_is_told_by_its_top_and_costs_others_nothing(cast: Cast, process: Process) -> None:
    process.cache.snapshot(cast.rival.pk)
    process.cache.snapshot(cast.oslo.pk)
    Organization.objects.get(pk=cast.north.pk).delete()
    eventually(lambda: OrganizationMoved(cast.north.pk) in process.heard)
    assert [event for event in process.heard if isinstance(event, OrganizationMoved)] == [
        OrganizationMoved(cast.north.pk)
    ]
    assert "tree" not in process.heard
    assert len(process.cache) == 2
    with pytest.raises(OrganizationNotFound):
        process.cache.snapshot(cast.oslo.pk)
    assert len(process.cache) == 1


def test_a_new_organization_with_the_key_of_a_deleted_one_is_found(cast: Cast, process: Process) -> None:
    key = cast.rival_store.key
    former = process.cache.snapshot_by_key(key)
    Organization.objects.get(pk=former.organization_id).delete()
    latter = Organization.objects.create(name="Again", key=key)
    eventually(lambda: OrganizationMoved(former.organization_id) in process.heard)
    assert process.cache.snapshot_by_key(key).organization_id == latter.pk


def test_many_deleted_trees_are_told_at_once(process: Process) -> None:
    for number in range(101):
        Organization.objects.create(name="Root", key=f"root-{number}")
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        Organization.objects.all()._raw_delete("default")
    eventually(lambda: "tree" in process.heard)


def test_after_a_lost_connection_everything_is_read_anew(cast: Cast, process: Process) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    eventually(lambda: process.gaps == 1 and process.value(cast.oslo) is True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE flags_flagstate SET enabled = false")  # nobody is told
        assert process.value(cast.oslo) is True
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^(LISTEN|NOTIFY)'")
    eventually(lambda: process.gaps == 2 and process.listener.hears)
    assert process.value(cast.oslo) is False


def test_states_that_are_all_deleted_by_hand_are_forgotten(cast: Cast, process: Process) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    eventually(lambda: process.value(cast.oslo) is True)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE flags_flagstate")
    eventually(lambda: process.value(cast.oslo) is None)
    assert process.gaps == 1


def test_what_was_committed_before_somebody_asks_is_heard_when_the_answer_comes(cast: Cast, process: Process) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    for number in range(20):
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=bool(number % 2))
        assert process.listener.hear_all(10)
        assert process.value(cast.oslo) is bool(number % 2)


class Server:
    """A connection on which a change is told just after what had come before was taken."""

    def __init__(self) -> None:
        self.pgconn = self
        self.told = [b'{"organization": 1}']

    def consume_input(self) -> None:
        """As psycopg has it."""

    def notifies(self) -> object | None:
        """As psycopg has it."""
        return SimpleNamespace(relname=b"flagsite_changes", extra=self.told.pop()) if self.told else None

    def execute(self, _: str) -> None:
        """Its answer comes after what was told before."""
        self.told.append(b'{"organization": 2}')


def test_who_asks_is_sure_also_where_something_else_was_heard_in_the_same_moment() -> None:
    heard: list[object] = []
    listener = ChangeListener(heard.append, lambda: None)
    asked = threading.Event()
    listener._asked.append(asked)
    server: Any = Server()
    with listener._ring, listener._bell:
        listener._hear(server)
    assert asked.is_set()
    assert heard == [OrganizationMoved(1), OrganizationMoved(2)]


def test_a_process_that_hears_nothing_knows_it(process: Process) -> None:
    process.listener.stop()
    assert not process.listener.hear_all(0)
    assert process.hears == [True, False]


def test_an_operator_has_every_process_read_anew(cast: Cast, process: Process, admin_key: str) -> None:
    other = Process()
    try:
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
        for one in (process, other):
            eventually(lambda one=one: one.value(cast.oslo) is True)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE flags_flagstate SET enabled = false")
        assert process.value(cast.oslo) is True
        answer = Api(admin_key).post("/internal/cache/invalidate", {"organizationIds": [cast.north.pk]})
        assert answer.json()["failed"] == []
        for one in (process, other):
            eventually(lambda one=one: one.value(cast.oslo) is False)
    finally:
        other.listener.stop()


def test_a_view_that_missed_too_much_is_read_anew_and_one_that_missed_little_catches_up() -> None:
    log = ChangeLog()
    for number in range(KEPT * 2):
        log.append(OrganizationMoved(number))
    assert log.since(log.position - KEPT) is None
    missed = log.since(log.position - 3)
    assert missed == [(KEPT * 2 - n + 1, OrganizationMoved(KEPT * 2 - n)) for n in (3, 2, 1)]
    assert log.since(log.position) == []


def test_no_more_organizations_are_kept_than_allowed(cast: Cast) -> None:
    cache = EvaluationCache(most=3)
    for one in (*cast.of_acme, cast.acme):
        cache.snapshot(one.pk)
    assert len(cache) == 3
