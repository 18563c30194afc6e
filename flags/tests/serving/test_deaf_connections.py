"""A process whose connection hears nothing any more knows it, reads again what it answers, and recovers by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from conftest import Cast
from flags.serving import pg_listener, process_cache
from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.cache_events import HEARTBEAT_CHANNEL
from flags.serving.packed_states import ON
from flags.serving.pg_listener import ChangeListener
from flags.states.set_flag import set_flag
from flags.tests.serving.swallowing_proxy import SwallowingProxy
from flags.tests.serving.test_change_listener import Process, eventually
from flagsite.core import actor
from flagsite.core.db import sessions
from orgs.access import access_keys
from orgs.access.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proxy(settings: Any) -> Iterator[SwallowingProxy]:
    """What listeners reach PostgreSQL through; everything else has a way of its own."""
    host = connection.settings_dict["HOST"]
    with SwallowingProxy(f"{host}/.s.PGSQL.{connection.settings_dict['PORT'] or 5432}") as proxy:
        settings.DATABASE_DIRECT = {"HOST": "127.0.0.1", "PORT": str(proxy.port)}
        yield proxy


def test_while_a_firewall_swallows_what_is_told_the_new_value_is_read_and_then_heard_again(
    cast: Cast, proxy: SwallowingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_listener, "LOST_SECONDS", 2.5)
    process = Process()
    try:
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
        eventually(lambda: process.value(cast.oslo) is True)
        proxy.swallow()
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=False)
        eventually(lambda: process.value(cast.oslo) is False)
        assert process.hears == [True, False]
        assert process.listener.why_not == "The heartbeat has not been heard for 1.5 s."
        assert process.listener.take_unheard_seconds() > 0
        eventually(lambda: process.hears == [True, False, True])
        assert process.gaps == 2
        set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
        eventually(lambda: process.value(cast.oslo) is True)
        assert process.listener.why_not == ""
    finally:
        process.listener.stop()


def test_reads_do_not_wait_on_connections_that_the_firewall_has_swallowed_as_well(
    cast: Cast, proxy: SwallowingProxy, settings: Any
) -> None:
    ordinary = connection.settings_dict
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    connection.close()
    connection.settings_dict = {**ordinary, **settings.DATABASE_DIRECT}
    try:
        cache = process_cache.process_evaluation_cache()
        listener = process_cache.listener()
        assert listener is not None
        eventually(lambda: listener.hears)
        flag = cache.definitions().by_key["checkout"].id
        assert cache.snapshot(cast.oslo.pk).states.row(flag)[2] == ON
        proxy.swallow()
        elsewhere = threading.Thread(target=_turn_off, args=[cast.oslo.pk])  # with a connection of its own
        elsewhere.start()
        elsewhere.join()
        eventually(lambda: cache.snapshot(cast.oslo.pk).states.row(flag)[2] == 0)
    finally:
        process_cache.end()
        connection.close()
        connection.settings_dict = ordinary


def _turn_off(organization_id: int) -> None:
    with actor.acting("worker", actor=actor.SYSTEM):
        set_flag(organization_id=organization_id, flag_key="checkout", enabled=False)
    connection.close()


def test_who_waits_for_an_answer_on_a_swallowed_connection_does_not_stop_the_watch(
    proxy: SwallowingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_listener, "LOST_SECONDS", 2.0)
    process = Process()
    try:
        proxy.swallow()
        assert not process.listener.hear_all(0.2)  # its thread waits for the answer now
        eventually(lambda: process.hears == [True, False, True])
        assert process.listener.hear_all(10)
    finally:
        process.listener.stop()


def test_a_listener_that_reaches_another_database_than_everybody_else_never_hears(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PROOF_SECONDS", 0.1)
    settings.DATABASE_DIRECT = {"NAME": "postgres"}
    heard: list[bool] = []
    listener = ChangeListener(lambda _: None, lambda: None, lambda *, hears: heard.append(hears))
    listener.start()
    try:
        eventually(lambda: "DATABASE_DIRECT_URL" in listener.why_not)
        assert listener.why_not == (
            "What is written by DATABASE_URL is not heard by DATABASE_DIRECT_URL. "
            "Let both lead to the same database of the same server."
        )
        assert heard == []
        assert not listener.hears
    finally:
        listener.stop()


def test_a_listener_that_hears_the_heartbeat_of_others_sends_none_of_its_own(
    proxy: SwallowingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy hands on to the listener but nothing from it, so it hears only what others send."""
    listening = Process()
    try:
        proxy.swallow(only_from_clients=True)
        with connection.cursor() as cursor:
            for _ in range(20):
                cursor.execute("SELECT pg_notify(%s, '') FROM pg_sleep(0.1)", [HEARTBEAT_CHANNEL])
        assert listening.hears == [True]
    finally:
        listening.listener.stop()


def test_a_revoked_key_is_refused_soon_by_a_process_that_hears_nothing() -> None:
    cache = AccessKeyCache()
    record, key = access_keys.create(name="k", role=Role.READER)
    assert cache.caller_with(key) is not None
    access_keys.revoke(prefix=record.prefix)
    age(cache, seconds=2)
    assert cache.caller_with(key) is not None
    cache.set_listening(hears=False)
    assert cache.caller_with(key) is None


def age(cache: AccessKeyCache, *, seconds: float) -> None:
    """Let what is cached have been looked up so long ago."""
    for digest, (looked_up, caller) in cache._valid.items():
        cache._valid[digest] = looked_up - seconds, caller
