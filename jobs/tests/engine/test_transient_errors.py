"""Which database errors are worth the same statement again."""

from __future__ import annotations

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection

from flagsite.core.db import transient_errors

PASSING = ["40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "08006", "08003", "53100", "53300", "25P03"]
LASTING = ["23505", "23514", "22P02", "42P01", "42501", "P0001", "XX000", "22001", "25P02"]


def raised(state: str) -> DatabaseError:
    """What Django raises when PostgreSQL answers with this state."""
    cause = psycopg.errors.lookup(state)()
    try:
        try:
            raise cause
        except psycopg.Error as error:
            raise DatabaseError from error
    except DatabaseError as error:
        return error


@pytest.mark.parametrize("state", PASSING)
def test_these_pass_by_themselves(state: str) -> None:
    assert transient_errors.is_transient(raised(state))


@pytest.mark.parametrize("state", LASTING)
def test_these_stay(state: str) -> None:
    assert not transient_errors.is_transient(raised(state))


def test_a_connection_that_broke_without_a_word_passes() -> None:
    assert transient_errors.is_transient(OperationalError("server closed the connection unexpectedly"))
    assert transient_errors.is_transient(InterfaceError("connection already closed"))
    assert not transient_errors.is_transient(IntegrityError("duplicate"))
    assert not transient_errors.is_transient(ValueError("not of the database"))


def test_time_outs_are_told_from_the_rest() -> None:
    assert [state for state in PASSING + LASTING if transient_errors.is_timeout(raised(state))] == ["55P03", "57014"]


@pytest.mark.django_db
def test_what_postgresql_really_sends_is_understood() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT here")
        with pytest.raises(OperationalError) as timed_out:
            cursor.execute("SET LOCAL statement_timeout = '5ms'; SELECT pg_sleep(5)")
        cursor.execute("ROLLBACK TO here")
        with pytest.raises(ProgrammingError) as missing:
            cursor.execute("SELECT * FROM nowhere")
        cursor.execute("ROLLBACK TO here")
    assert transient_errors.is_transient(timed_out.value)
    assert not transient_errors.is_transient(missing.value)


@pytest.mark.django_db(transaction=True)
def test_after_a_lost_connection_the_next_query_has_a_new_one() -> None:
    with connection.cursor() as cursor, pytest.raises(OperationalError) as lost:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert transient_errors.is_transient(lost.value)
    transient_errors.reconnect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
