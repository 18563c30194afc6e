"""The retry decorators: what they call again, how long they wait, and what they say about it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.error import HTTPError, URLError

import httpx
import psycopg
import pytest
import redis
import requests
import structlog
from django.conf import LazySettings
from django.db import IntegrityError, OperationalError, connection, transaction

from flagsite.core.db import transient_errors
from flagsite.core.retry import (
    RetryInsideTransaction,
    UnwantedStatus,
    api_retry,
    async_retry,
    database_retry,
    redis_retry,
    retry_on_transient,
)
from flagsite.metrics import requests as request_counts


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> list[float]:
    """The waits of this test, which take no time."""
    settings.RETRY_JITTER = 0.0
    found: list[float] = []

    async def no_sleep(delay: float) -> None:
        found.append(delay)

    monkeypatch.setattr("tenacity.nap.time.sleep", found.append)
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    return found


@pytest.fixture(autouse=True)
def _connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transient_errors, "reconnect", lambda: None)


class Ends:
    """A function that raises or returns these, one after the other, and counts its calls."""

    def __init__(self, *ends: Any) -> None:
        self._ends = list(ends)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        end = self._ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end


def response(status: int, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def deadlock() -> OperationalError:
    error = OperationalError("deadlock")
    error.__cause__ = psycopg.errors.DeadlockDetected()
    return error


def called(decorator: Callable[[Any], Any], ends: Ends) -> Any:
    def call() -> Any:
        return ends()

    return decorator(call)()


# --- how often and how long -------------------------------------------------------------------------------------------
def test_the_settings_say_how_often_and_how_long(waits: list[float], settings: LazySettings) -> None:
    ends = Ends(*[redis.ConnectionError()] * 3)
    with pytest.raises(redis.ConnectionError):
        called(redis_retry, ends)
    assert (ends.calls, waits) == (3, [1.0, 2.0])
    settings.RETRY_MAX_ATTEMPTS, settings.RETRY_WAIT_MIN, settings.RETRY_WAIT_MAX = 6, 2.0, 9.0
    assert called(redis_retry, Ends(*[redis.ConnectionError()] * 5, "there")) == "there"
    assert waits[2:] == [2.0, 4.0, 8.0, 9.0, 9.0]


def test_arguments_win_over_the_settings(waits: list[float]) -> None:
    ends = Ends(*[redis.TimeoutError()] * 2)
    with pytest.raises(redis.TimeoutError):
        called(redis_retry(max_attempts=2, wait_min=0.5), ends)
    assert (ends.calls, waits) == (2, [0.5])
    with pytest.raises(ValueError, match="max_attempts is 0"):
        redis_retry(max_attempts=0)


def test_a_wait_has_jitter(waits: list[float], settings: LazySettings) -> None:
    settings.RETRY_JITTER = 1.0
    for _ in range(8):
        called(redis_retry, Ends(redis.ConnectionError(), "there"))
    assert all(1.0 <= wait <= 2.0 for wait in waits)
    assert len(set(waits)) > 1


# --- the database -----------------------------------------------------------------------------------------------------
def test_the_database_is_asked_again_after_a_deadlock_and_not_after_a_wrong_value(db: None) -> None:
    assert called(database_retry, Ends(deadlock(), OperationalError("server closed the connection"), 7)) == 7
    ends = Ends(IntegrityError("duplicate"))
    with pytest.raises(IntegrityError):
        called(database_retry, ends)
    assert ends.calls == 1


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_nothing_is_called_at_all() -> None:
    ends = Ends(1, 2)
    with transaction.atomic(), pytest.raises(RetryInsideTransaction, match="Decorate the function"):
        called(database_retry, ends)
    assert ends.calls == 0
    assert called(database_retry, ends) == 1


@pytest.mark.django_db(transaction=True)
def test_each_further_attempt_has_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transient_errors, "reconnect", connection.close)
    sessions: list[int] = []

    @database_retry
    def ask() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])
            if len(sessions) == 1:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return "there"

    assert ask() == "there"
    assert len(set(sessions)) == 2


def test_a_connection_belongs_to_a_thread_so_coroutines_are_refused() -> None:
    async def ask() -> None:
        """Ask."""

    with pytest.raises(TypeError, match="plain function"):
        database_retry(ask)


# --- HTTP -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "failure",
    [
        requests.HTTPError(response=response(503)),
        httpx.HTTPStatusError("", request=httpx.Request("GET", "https://x"), response=httpx.Response(502)),
        HTTPError("https://x", 504, "", {}, None),
        response(429),
        httpx.Response(500),
        requests.ConnectionError(),
        requests.Timeout(),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError(""),
        URLError(ConnectionRefusedError()),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=repr,
)
def test_a_call_is_repeated_after_a_status_or_a_lost_connection(failure: Any) -> None:
    assert called(api_retry, Ends(failure, "there")) == "there"


@pytest.mark.parametrize(
    "failure",
    [
        requests.HTTPError(response=response(404)),
        requests.exceptions.SSLError(),
        httpx.UnsupportedProtocol(""),
        ValueError(),
        KeyError("status"),
    ],
    ids=repr,
)
def test_a_call_is_not_repeated_after_a_lasting_failure(failure: Exception) -> None:
    ends = Ends(failure)
    with pytest.raises(type(failure)):
        called(api_retry, ends)
    assert ends.calls == 1


def test_a_response_of_the_last_attempt_is_raised_and_not_taken_for_an_answer() -> None:
    last = response(503)
    with pytest.raises(UnwantedStatus, match="503") as raised:
        called(api_retry, Ends(response(503), response(503), last))
    assert raised.value.response is last
    assert called(api_retry(status_codes=(429,)), Ends(response(503))).status_code == 503


def test_the_server_says_how_long_to_wait_but_not_longer_than_the_longest_wait(
    waits: list[float], settings: LazySettings
) -> None:
    settings.RETRY_MAX_ATTEMPTS = 10
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=5), usegmt=True)
    ends = Ends(
        response(429, Retry_After="4"),
        requests.HTTPError(response=response(503, Retry_After=at)),
        response(503, Retry_After="3600"),
        response(503, Retry_After="0"),
        response(503, Retry_After="soon"),
        httpx.Response(503, headers={"retry-after": "2"}),
        "there",
    )
    assert called(api_retry, ends) == "there"
    by_date = waits.pop(1)
    assert 3 < by_date <= 5
    assert waits == [4.0, 10.0, 0.0, 10.0, 2.0]


# --- Redis, other failures, coroutines --------------------------------------------------------------------------------
def test_redis_is_asked_again_while_it_is_away_and_not_after_a_wrong_password() -> None:
    away = [redis.ConnectionError(), redis.exceptions.BusyLoadingError(), redis.exceptions.ReadOnlyError()]
    assert called(redis_retry(max_attempts=4), Ends(*away, "there")) == "there"
    for lasting in (redis.AuthenticationError(), redis.ResponseError("wrong type")):
        ends = Ends(lasting)
        with pytest.raises(type(lasting)):
            called(redis_retry, ends)
        assert ends.calls == 1


def test_named_errors_and_every_transient_failure_are_repeated(db: None) -> None:
    failures = [LookupError(), deadlock(), redis.TimeoutError(), requests.Timeout()]
    assert called(retry_on_transient(LookupError, max_attempts=5), Ends(*failures, "there")) == "there"
    ends = Ends(LookupError())
    with pytest.raises(LookupError):
        called(retry_on_transient, ends)
    assert ends.calls == 1


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_an_error_of_the_database_is_raised_at_once() -> None:
    ends = Ends(deadlock())
    with transaction.atomic(), pytest.raises(OperationalError):
        called(retry_on_transient(), ends)
    assert ends.calls == 1


def test_coroutines_are_repeated_too(waits: list[float]) -> None:
    ends = Ends(LookupError(), ConnectionError(), "there", httpx.Response(503), "there")

    @async_retry(LookupError)
    async def ask() -> Any:
        return ends()

    @api_retry
    async def fetch() -> Any:
        return ends()

    assert inspect.iscoroutinefunction(ask)
    assert asyncio.run(ask()) == "there"
    assert asyncio.run(fetch()) == "there"
    assert waits == [1.0, 2.0, 1.0]
    with pytest.raises(TypeError, match="coroutine function"):
        async_retry()(time.sleep)


# --- what they say ----------------------------------------------------------------------------------------------------
def test_log_and_metric_have_neither_arguments_nor_the_message() -> None:
    failures = iter([requests.ConnectionError("https://x/?token=s3cret"), None])

    @api_retry
    def tell(key: str, *, password: str) -> str:
        if failure := next(failures):
            raise failure
        return "told"

    with structlog.testing.capture_logs() as lines:
        assert tell("s3cret", password="s3cret") == "told"
    assert "s3cret" not in str(lines)
    (line,) = [line for line in lines if line["event"] == "call_retried"]
    assert (line["error"], line["retry"], line["waitSeconds"]) == ("ConnectionError", 1, 1.0)
    assert line["function"].endswith("tell")
    (metric,) = [one for one in request_counts.registry().collect() if one.name == "flagsite_call_retries"]
    samples = [one for one in metric.samples if one.name.endswith("_total") and one.labels["function"].endswith("tell")]
    assert [(one.labels["error"], one.value) for one in samples] == [("ConnectionError", 1.0)]
    assert "s3cret" not in str(metric.samples)


def test_a_decorated_function_keeps_its_name_and_its_words() -> None:
    @redis_retry()
    def get_from_cache(key: str) -> None:
        """Read the cache."""

    assert (get_from_cache.__name__, get_from_cache.__doc__) == ("get_from_cache", "Read the cache.")
    assert list(inspect.signature(get_from_cache).parameters) == ["key"]
