"""A whole web server against bad clients, and against a database that does not answer."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from flagsite.tests.crash.installation import Installation, eventually
from flagsite.tests.web_server.served import body_of, until_closed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BODY_SECONDS = 3
IDLE = 3_000
LOGIN = (
    b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken=abcdefghijklmnopqrstuvwxyz012345\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nfour"
)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One web process, whose clients get little time for a body."""
    installation = Installation(tmp_path_factory.mktemp("attacked"))
    installation.environment["WEB_BODY_SECONDS"] = str(BODY_SECONDS)
    try:
        installation.start()
        installation.plant_tree(1, 2)
        yield installation
    finally:
        installation.stop()


def connected(installation: Installation) -> socket.socket:
    return socket.create_connection(("127.0.0.1", installation.port), timeout=60)


@contextmanager
def frozen(installation: Installation) -> Iterator[None]:
    """Stop every process of PostgreSQL inside the block, so that connections stay open and nothing answers."""
    processes = installation.postgres.processes()
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def evaluated(installation: Installation) -> httpx.Response:
    return installation.post("/ofrep/v1/evaluate/flags", json={"context": {"organizationId": 1}})


@pytest.mark.parametrize("path", [b"/admin/login/", b"/ofrep/v1/evaluate/flags", b"/organizations", b"/docs", b"/x"])
def test_slow_bodies_at_any_address_stop_nobody_and_end_with_408(attacked: Installation, path: bytes) -> None:
    key = b"\r\nAuthorization: Bearer " + attacked.key.encode() + b"\r\nContent-Length"
    request = LOGIN.replace(b"/admin/login/", path).replace(b"\r\nContent-Length", key)
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(attacked)) for _ in range(20)]
        for connection in slow:
            connection.sendall(request)
        assert attacked.get("/organizations").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{attacked.port}/admin/login/", timeout=60).status_code == 200
        answer = until_closed(slow[0])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body_of(answer))["type"] == "/problems/request-timeout"


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /x://" + b":" * 15_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
     b"GET / HTTP/1.1\r\nConnection: close\r\nHost: x://" + b":" * 15_000 + b"\r\n\r\n",
     b"GET /x://" + b":" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ids=["path", "host", "longer path"],
)  # fmt: skip
def test_colons_cost_next_to_nothing(attacked: Installation, request_bytes: bytes) -> None:
    assert attacked.web is not None
    (process,) = psutil.Process(attacked.web.pid).children()
    before = process.cpu_times().user
    with connected(attacked) as connection:
        connection.sendall(request_bytes)
        assert until_closed(connection)[9:12] in {b"404", b"400", b"414"}
    assert process.cpu_times().user - before < 1, "60,000 of them took 21 s"


def test_thousands_of_idle_connections_keep_nobody_from_an_answer(attacked: Installation) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 500:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as stack:
            for _ in range(IDLE):
                connection = stack.enter_context(connected(attacked))
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert attacked.get("/organizations").status_code == 200
            assert evaluated(attacked).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_probes_are_answered_while_the_database_does_not_answer(attacked: Installation) -> None:
    assert attacked.get("/readyz").status_code == 200
    with frozen(attacked), ExitStack() as stack:
        for _ in range(10):  # more than there are threads; all of them wait for the database
            stack.enter_context(connected(attacked)).sendall(
                b"GET /organizations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + attacked.key.encode()
                + b"\r\n\r\n"
            )  # fmt: skip
        assert attacked.get("/livez").status_code == 200
        eventually(lambda: _readiness(attacked).status_code == 503, within=30)
        ready = _readiness(attacked)
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "not ok")
        assert ready.elapsed.total_seconds() < 10, "it took 18 to 28 s, until the connection was given up"
        assert attacked.get("/livez").status_code == 200
    eventually(lambda: attacked.get("/readyz").status_code == 200, within=60)


def _readiness(installation: Installation) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{installation.port}/readyz", timeout=60)
