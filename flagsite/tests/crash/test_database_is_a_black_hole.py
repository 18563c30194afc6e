"""The database swallows all packets and refuses no connection: nobody waits for it, and all is right again soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from flags.tests.serving.swallowing_proxy import SwallowingProxy
from flagsite.development.servers.server_commands import events_command, web_command
from flagsite.tests.crash.installation import Installation, eventually, free_port, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT, KNOWN, OFF, FIRST_UNKNOWN = 1, 3, 4, 5
LEAVES = 40
PATIENCE_SECONDS = 8
"""Less than it takes until the network gives up; an answer comes within three seconds on a machine with time."""


class BehindHole:
    """A web process that reaches PostgreSQL through a proxy."""

    def __init__(self, installation: Installation, port: int, hole: SwallowingProxy) -> None:
        self.hole = hole
        self._url = f"http://127.0.0.1:{port}"
        self._key = {"Authorization": f"Bearer {installation.key}"}

    def get(self, path: str, *, within: float = PATIENCE_SECONDS, **headers: str) -> httpx.Response:
        """The answer to a GET with the key of the installation."""
        return httpx.get(f"{self._url}{path}", headers=self._key | headers, timeout=within)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """The answer to a POST, likewise."""
        return httpx.post(f"{self._url}{path}", headers=self._key, timeout=PATIENCE_SECONDS, **more)

    def evaluate(self, organization_id: int) -> httpx.Response:
        """The flag `checkout` for the organization."""
        return self.post("/ofrep/v1/evaluate/flags/checkout", json={"context": {"organizationId": organization_id}})

    def event_stream(self, organization_id: int) -> str:
        """The address of the organization's event stream."""
        answer = self.post("/ofrep/v1/evaluate/flags", json={"context": {"organizationId": organization_id}})
        return str(answer.json()["eventStreams"][0]["url"])

    def value(self, organization_id: int) -> object:
        """The same; None if there is no value."""
        try:
            return self.evaluate(organization_id).json().get("value")
        except httpx.ConnectError:
            return None

    def is_live(self) -> bool:
        """Whether /livez answers."""
        try:
            return self.get("/livez").status_code == 200
        except httpx.ConnectError:
            return False


@pytest.fixture
def behind_hole(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[BehindHole]:
    installation.plant_tree(branches=1, leaves=LEAVES)
    installation.start_worker()
    job = installation.set_flag(ROOT, "checkout", enabled=True)
    eventually(lambda: installation.chain_ended(job), within=60)
    port = free_port()
    with SwallowingProxy(f"{installation.postgres.sockets}/.s.PGSQL.5432") as hole:
        monkeypatch.setitem(
            installation.environment, "DATABASE_URL", f"postgresql://flagsite@127.0.0.1:{hole.port}/flagsite"
        )
        events = free_port()
        monkeypatch.setitem(installation.environment, "EVENTS_URL", f"http://127.0.0.1:{events}")
        web = installation.run(*web_command(port, workers=1))
        listening = installation.run(*events_command(events))
        behind = BehindHole(installation, port, hole)
        eventually(behind.is_live, within=60)
        eventually(lambda: behind.value(KNOWN) is True and behind.value(OFF) is True, within=60)
        yield behind
        for process in (web, listening):
            kill_session(process)


def opened(stream: str) -> int:
    """The status of the answer to a client that opens an event stream; 0 if nobody listens yet."""
    try:
        with httpx.stream("GET", stream, timeout=PATIENCE_SECONDS) as answer:
            return answer.status_code
    except httpx.ConnectError:
        return 0


def requests(behind: BehindHole) -> list[Callable[[], httpx.Response]]:
    """Fifty requests that the web process cannot answer from its memory."""

    def evaluation(organization_id: int) -> Callable[[], httpx.Response]:
        return lambda: behind.evaluate(organization_id)

    evaluations = [evaluation(organization_id) for organization_id in range(FIRST_UNKNOWN, FIRST_UNKNOWN + 25)]
    reads = [lambda: behind.get("/organizations"), lambda: behind.get(f"/{KNOWN}/checkout")] * 10
    writes: list[Callable[[], httpx.Response]] = [lambda: behind.post(f"/{KNOWN}/checkout/false")] * 5
    return evaluations + reads + writes


def test_requests_are_refused_fast_while_it_lasts_and_answered_rightly_soon_after(
    installation: Installation, behind_hole: BehindHole
) -> None:
    stream = behind_hole.event_stream(KNOWN)
    eventually(lambda: opened(stream) == 200, within=60)
    behind_hole.hole.hold_back()
    with ThreadPoolExecutor(60) as clients:
        answers = [clients.submit(send) for send in requests(behind_hole)]
        streams = [clients.submit(opened, stream) for _ in range(4)]
        assert behind_hole.is_live()
        refusals = [answer.result() for answer in answers]
        assert [one.result() for one in streams] == [503] * 4
    assert {answer.status_code for answer in refusals} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refusals)
    assert {answer.json()["errorDetails"] for answer in refusals[:25]} == {
        "The database is away. Try again in a second."
    }
    assert {answer.json()["type"] for answer in refusals[25:45]} == {"/problems/database-away"}
    assert {answer.json()["type"] for answer in refusals[45:]} <= {"/problems/database-away", "/problems/server-busy"}
    page = behind_hole.get("/admin/", Cookie="sessionid=of-nobody")
    assert (page.status_code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "The database cannot be reached." in page.text
    assert behind_hole.get("/readyz").json()["checks"]["database"] == "not ok"
    assert behind_hole.value(KNOWN) is True  # as it was known before

    installation.post(f"/{OFF}/checkout/false")
    behind_hole.hole.let_through()
    eventually(lambda: behind_hole.get("/organizations").status_code == 200, within=PATIENCE_SECONDS)
    eventually(lambda: behind_hole.value(OFF) is False, within=PATIENCE_SECONDS)
    assert behind_hole.value(KNOWN) is True  # nothing was written by requests that were refused
    assert behind_hole.value(FIRST_UNKNOWN) is True
    eventually(lambda: opened(stream) == 200, within=PATIENCE_SECONDS)
    eventually(lambda: behind_hole.get("/readyz").json()["checks"]["listener"] == "ok", within=30)


def test_a_slow_query_is_no_black_hole(installation: Installation, behind_hole: BehindHole) -> None:
    with ThreadPoolExecutor(1) as client:
        with installation.connection() as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE flags_flag")
            slow = client.submit(behind_hole.get, "/v1/feature-flags", within=60)
            for _ in range(15):  # for longer than the watch waits for an answer
                blocker.execute("SELECT pg_sleep(0.2)")
                assert behind_hole.get("/organizations").status_code == 200
            assert not slow.done()
        assert slow.result().status_code == 200
