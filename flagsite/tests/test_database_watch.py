"""The database watch lets nobody wait for a silent database, and takes nothing else for silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections

from flags.tests.serving.swallowing_proxy import SwallowingProxy
from flags.tests.serving.test_change_listener import eventually
from flagsite.core.adapters.django_orm import ordinary_parameters
from flagsite.core.db import database_watch
from flagsite.core.db.database_watch import SILENT, Connection, DatabaseWatch

pytestmark = pytest.mark.django_db(transaction=True)
MakeWatch = Callable[..., DatabaseWatch]


@pytest.fixture
def proxy() -> Iterator[SwallowingProxy]:
    """What everybody but the tests' own connection reaches PostgreSQL through."""
    host = connection.settings_dict["HOST"]
    with SwallowingProxy(f"{host}/.s.PGSQL.{connection.settings_dict['PORT'] or 5432}") as proxy:
        yield proxy
        proxy.let_through()


@pytest.fixture
def connect(proxy: SwallowingProxy) -> Iterator[Callable[[], Connection]]:
    """Makes a connection through the proxy."""
    parameters = {**ordinary_parameters(), "host": "127.0.0.1", "port": proxy.port}
    made: list[Connection] = []

    def make() -> Connection:
        made.append(psycopg.connect(**parameters, autocommit=True))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def watching(connect: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWatch]:
    """Starts an impatient watch, whose listener hears nothing unless a test says so."""
    for name, seconds in {"LOOK": 0.02, "LATE": 0.05, "ANSWER": 0.5, "AGAIN": 0.1}.items():
        monkeypatch.setattr(database_watch, f"{name}_SECONDS", seconds)

    def start(**more: Any) -> DatabaseWatch:
        watch = DatabaseWatch(**{"ask": connect, "heard": lambda: False, "is_heard_on_same_way": True, **more})
        database_watch.start(watch)
        return watch

    yield start
    database_watch.stop()


def test_who_waits_gets_an_error_and_nobody_else_begins_to_wait(
    proxy: SwallowingProxy, connect: Callable[[], Connection], watching: MakeWatch
) -> None:
    answered = threading.Event()
    watch = watching(on_answer=answered.set)
    waiting = watch.connect(connect)
    proxy.hold_back()
    with pytest.raises(psycopg.OperationalError):
        waiting.execute("SELECT 1")
    assert watch.is_silent
    with pytest.raises(psycopg.OperationalError, match=SILENT):
        watch.connect(connect)
    assert not answered.is_set()

    proxy.let_through()
    assert answered.wait(10)
    assert watch.connect(connect).execute("SELECT 1").fetchone() == (1,)


def test_who_is_connecting_gets_an_error_though_the_attempt_goes_on(
    proxy: SwallowingProxy, connect: Callable[[], Connection], watching: MakeWatch
) -> None:
    attempt_may_go_on = threading.Event()
    attempts: list[Connection] = []

    def connect_late() -> Connection:
        attempt_may_go_on.wait(10)
        attempts.append(connect())
        return attempts[0]

    watch = watching()
    proxy.hold_back()
    with pytest.raises(psycopg.OperationalError, match=SILENT):
        watch.connect(connect_late)
    proxy.let_through()
    attempt_may_go_on.set()
    eventually(lambda: all(one.closed for one in attempts) and attempts != [])


def test_django_connects_through_the_watch(proxy: SwallowingProxy, watching: MakeWatch) -> None:
    watching()
    wrapper = connections.create_connection("default")
    wrapper.settings_dict = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(proxy.port)}
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
            proxy.hold_back()
            with pytest.raises(OperationalError):
                cursor.execute("SELECT 1")
        wrapper.close()
        with pytest.raises(OperationalError, match=SILENT):
            wrapper.ensure_connection()
    finally:
        wrapper.close()


def test_a_slow_query_is_no_silence(connect: Callable[[], Connection], watching: MakeWatch) -> None:
    asked: list[Connection] = []

    def ask() -> Connection:
        asked.append(connect())
        return asked[-1]

    watch = watching(ask=ask)
    slow = watch.connect(connect)
    assert slow.execute("SELECT 1 FROM pg_sleep(1)").fetchone() == (1,)
    assert asked
    assert not watch.is_silent


def test_while_the_listener_hears_on_the_same_way_the_database_is_not_even_asked(
    connect: Callable[[], Connection], watching: MakeWatch
) -> None:
    asked: list[float] = []
    watch = watching(ask=lambda: asked.append(time.monotonic()), heard=lambda: True)
    watch.connect(connect).execute("SELECT pg_sleep(0.3)")
    assert asked == []


def test_a_refusal_at_once_is_no_silence(connect: Callable[[], Connection], watching: MakeWatch) -> None:
    """For example `too many connections`, or a server that has just stopped: requests fail by themselves."""
    refused: list[str] = []

    def refuse() -> Connection:
        refused.append("refused")
        raise psycopg.OperationalError("connection refused")

    watch = watching(ask=refuse)
    assert watch.connect(connect).execute("SELECT 1 FROM pg_sleep(0.5)").fetchone() == (1,)
    assert refused
    assert not watch.is_silent


@pytest.mark.parametrize(
    ("is_heard_on_same_way", "hears", "is_silent"),
    [(True, False, False), (False, True, False), (False, False, True)],
    ids=["nobody knows", "the listener hears the database", "the database is silent behind its pooler"],
)
def test_who_gets_a_connection_but_no_answer_may_wait_for_a_place_in_a_pool(
    proxy: SwallowingProxy, connect: Callable[[], Connection], watching: MakeWatch,
    *, is_heard_on_same_way: bool, hears: bool, is_silent: bool,
) -> None:  # fmt: skip
    asked = threading.Event()

    def ask() -> Connection:
        connected = connect()
        proxy.swallow()
        asked.set()
        return connected

    watch = watching(ask=ask, heard=lambda: hears, is_heard_on_same_way=is_heard_on_same_way)
    waiting = watch.connect(lambda: psycopg.connect(**ordinary_parameters()))
    with waiting, ThreadPoolExecutor(1) as thread:
        query = thread.submit(waiting.execute, f"SELECT 1 FROM pg_sleep({3 if is_silent else 1})")
        assert asked.wait(10)
        assert isinstance(query.exception(), psycopg.OperationalError) == is_silent
