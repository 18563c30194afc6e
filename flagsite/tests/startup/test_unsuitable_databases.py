"""A database that would break a promise is refused in words, and every connection chooses the settings that it may."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from psycopg import sql

from flagsite.core.adapters.django_orm import ordinary_parameters
from flagsite.core.db import requirements
from flagsite.core.db.requirements import UnsuitableDatabase, refuse_unsuitable_database
from flagsite.development import servers
from flagsite.development.servers import template_data
from flagsite.health.doctor import database_checks
from flagsite.tests.crash.installation import CHECKOUT

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "unsuitable"
UTF8 = "ENCODING 'UTF8' TEMPLATE template0"
LATIN1 = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc TEMPLATE template0"


@contextmanager
def instead(**settings: str) -> Iterator[None]:
    """Let this thread's connection lead to another database."""
    ordinary = connection.settings_dict
    connection.close()
    connection.settings_dict = {**ordinary, **settings}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = ordinary


@contextmanager
def database(made_with: str, *settings: str) -> Iterator[str]:
    """A database that is created so and has these settings, instead of the usual one; its name."""
    name = f"{NAME}_{os.getpid()}"
    with psycopg.connect(**{**ordinary_parameters(), "dbname": "postgres"}, autocommit=True) as server:
        server.execute(sql.SQL(f"CREATE DATABASE {{}} {made_with}").format(sql.Identifier(name)))
        try:
            for setting in settings:
                server.execute(sql.SQL(f"ALTER DATABASE {{}} SET {setting}").format(sql.Identifier(name)))
            with instead(NAME=name):
                yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def refusal() -> str:
    """The words with which a process does not start."""
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unsuitable_database()
    return str(refused.value).removeprefix("Flagsite cannot work with this database. ")


def test_a_database_that_cannot_store_every_text_is_refused_at_each_connection() -> None:
    with database(LATIN1):
        with pytest.raises(UnsuitableDatabase, match="has the encoding LATIN1"):
            connection.ensure_connection()
        assert connection.connection is None
        assert refusal() == (
            "The database has the encoding LATIN1, which cannot store every text. Create a database with the encoding "
            "UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0), and set DATABASE_URL to it."
        )
        assert database_checks.check_database().severity == "problem"


def test_a_database_in_which_nobody_may_write_is_refused_at_each_connection() -> None:
    with database(UTF8, "default_transaction_read_only = on") as name:
        with pytest.raises(UnsuitableDatabase, match="default_transaction_read_only of the database is on"):
            connection.ensure_connection()
        assert "RESET default_transaction_read_only" in refusal()
        assert name in connection.settings_dict["NAME"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("default_transaction_isolation = 'serializable'", "is 'serializable', so jobs that meet on the same rows"),
        ("session_replication_role = replica", "is 'replica', so the triggers"),
    ],
)
def test_a_default_that_would_break_a_promise_is_refused_with_the_command_that_resets_it(
    setting: str, message: str
) -> None:
    with database(UTF8, setting) as name:
        words = refusal()
        advice = database_checks.check_database().advice
    assert message in words
    assert advice == f'Run: ALTER DATABASE "{name}" RESET {setting.partition(" ")[0]}, and restart Flagsite.'
    assert words.endswith(advice)


def test_every_connection_chooses_how_dates_durations_and_texts_are_written() -> None:
    styles = ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "standard_conforming_strings = off",
              "TimeZone = 'Asia/Kolkata'", "client_encoding = 'LATIN1'")  # fmt: skip
    with database(UTF8, *styles):
        refuse_unsuitable_database()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT '2026-02-01T12:00:00Z'::timestamptz, '2026-02-01'::timestamptz, interval '-1 day 2 hours',"
                " '\\t', '€'"
            )
            moment, midnight, duration, backslash, text = cursor.fetchone()
    assert moment == datetime(2026, 2, 1, 12, tzinfo=UTC)
    assert midnight == datetime(2026, 2, 1, tzinfo=UTC)
    assert duration == timedelta(days=-1, hours=2)
    assert (backslash, text) == ("\\t", "€")


def test_behind_a_pooler_a_style_that_it_would_lose_is_refused() -> None:
    with database(UTF8, "IntervalStyle = 'iso_8601'"):
        facts = requirements.read_facts()
    assert requirements.find_fault(facts) is None
    fault = requirements.find_fault(dataclasses.replace(facts, has_pooler=True))
    assert fault is not None
    assert "IntervalStyle of the database is 'iso_8601', and a connection pooler" in fault.message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("statement_timeout = '5s'", "statement_timeout is 5 s for this database and role."),
        ("idle_in_transaction_session_timeout = '100ms'", "idle_in_transaction_session_timeout is 0.1 s"),
    ],
)
def test_a_timeout_that_ends_imports_is_a_warning_of_doctor(setting: str, message: str) -> None:
    with database(UTF8, setting):
        refuse_unsuitable_database()
        result = database_checks.check_database()
    assert (result.severity, result.message.startswith(message)) == ("warning", True)


def test_a_database_that_is_away_stops_no_process() -> None:
    with instead(HOST="127.0.0.1", PORT="1"):
        refuse_unsuitable_database()


def test_a_replica_is_refused(tmp_path: Path) -> None:
    template_data.copy_template(Path(os.environ[template_data.VARIABLE]), tmp_path)
    replica = servers.PostgresServer(tmp_path)
    (replica.data / "standby.signal").touch()
    replica.start()
    try:
        with instead(HOST=str(replica.sockets), NAME="flagsite"):
            with pytest.raises(UnsuitableDatabase):
                connection.ensure_connection()
            assert refusal() == (
                "The server is a replica (hot standby), so PostgreSQL refuses every change. Set DATABASE_URL to the "
                "primary server."
            )
    finally:
        replica.stop()


def test_no_process_starts_on_an_unsuitable_database() -> None:
    with database(LATIN1) as name:
        url = servers.database_url().replace("/flagsite?", f"/{name}?")
        environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": servers.redis_url()}
        environment |= {"FLAGSITE_ENVIRONMENT": "development", "DJANGO_SETTINGS_MODULE": "flagsite.settings"}
        started = [
            subprocess.Popen(
                [sys.executable, *arguments], env=environment, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
            )
            for arguments in (
                ["-c", "import flagsite.wsgi"],
                ["-c", "import flagsite.asgi"],
                ["-m", "celery", "-A", "flagsite", "--quiet", "worker"],
            )
        ]
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    for words, status in ended:
        assert status == 1
        assert "Flagsite cannot work with this database. The database has the encoding LATIN1" in words
