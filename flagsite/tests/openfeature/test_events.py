"""Who is told of a change, when, and who is not: the process that keeps clients' connections, over HTTP."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from flagsite.tests.crash.installation import eventually
from flagsite.tests.openfeature.served import NORTH, NORTH_STORE, ROOT, SOUTH, SOUTH_STORE, Served
from flagsite.tests.openfeature.waiting import waiting_at
from orgs.tests.replacing import replaced

pytestmark = pytest.mark.slow
CLIENTS = 200
SILENCE = 1.0
"""For how long nothing must come; what does come, comes within a quarter of it."""


def test_a_change_of_a_parent_is_told_below_it_and_nowhere_else(flagsite: Served) -> None:
    flagsite.define("events.parent")
    store, other = flagsite.events_address(organizationId=NORTH_STORE), flagsite.events_address(organizationId=SOUTH)

    with waiting_at(store) as concerned, waiting_at(other) as stranger:
        flagsite.switch(NORTH, "events.parent", on=True)
        event = concerned.next()  # how soon: bin/bench told

        assert event.data["type"] == "refetchEvaluation"
        assert stranger.nothing_for(SILENCE)


def test_when_a_client_is_told_it_is_answered_with_the_new_value(flagsite: Served) -> None:
    flagsite.define("events.new-value")
    with waiting_at(flagsite.events_address(organizationId=NORTH_STORE)) as waiting:
        flagsite.switch(ROOT, "events.new-value", on=True)
        waiting.next()

        assert flagsite.evaluated("events.new-value", organizationId=NORTH_STORE)["value"] is True


def test_a_changed_definition_is_told_to_everybody(flagsite: Served) -> None:
    north, nowhere = flagsite.events_address(organizationId=NORTH), flagsite.events_address()

    with waiting_at(north) as one, waiting_at(nowhere) as another:
        flagsite.define("events.definition", enabled=True)

        assert one.next().data["type"] == another.next().data["type"] == "refetchEvaluation"


def test_a_client_is_told_of_flags_that_are_available_to_clients_only(flagsite: Served) -> None:
    flagsite.define("events.shown", available_to_clients=True)
    flagsite.define("events.hidden")
    key = flagsite.new_key("page", organization=NORTH, role="client")
    answer = flagsite.bulk(key)
    assert [flag["key"] for flag in answer.json()["flags"]] == ["events.shown"]
    store, reader = flagsite.events_address(key, organizationId=NORTH_STORE), flagsite.events_address()
    with waiting_at(store) as waiting, waiting_at(reader) as other:
        flagsite.switch_and_wait(NORTH, "events.hidden", on=True)
        flagsite.define("events.hidden", enabled=True)
        other.next()
        assert waiting.nothing_for(SILENCE)
        assert flagsite.bulk(key).headers["ETag"] == answer.headers["ETag"]
        flagsite.switch(NORTH, "events.shown", on=True)
        waiting.next()
        flagsite.define("events.shown", killed=True)
        waiting.next()
    flagsite.sql("UPDATE flags_flag SET available_to_clients = false")


def test_many_changes_at_once_are_told_a_few_times(flagsite: Served) -> None:
    with waiting_at(flagsite.events_address()) as waiting:
        flagsite.sql(
            "DO $$ BEGIN FOR number IN 1..30 LOOP "
            "INSERT INTO flags_flag (key, description) VALUES ('events.many-' || number, ''); COMMIT; END LOOP; END $$"
        )
        waiting.next()
        told = 1
        while not waiting.nothing_for(SILENCE):
            told += 1

    assert told <= 10  # once or twice, unless the thirty changes take long


def test_an_organization_that_moved_is_told_of_its_new_parents_changes(flagsite: Served) -> None:
    flagsite.define("events.moved")
    made = flagsite.post("/organizations", json={"name": "Nomad", "key": "nomad", "parentId": NORTH}).json()
    with waiting_at(flagsite.events_address(organizationId=made["id"])) as waiting:
        headers = {"Authorization": f"Bearer {flagsite.key}"}
        url = f"{flagsite.url}/organizations/{made['id']}"
        httpx.patch(url, headers=headers, json={"parentId": SOUTH}, timeout=20).raise_for_status()
        waiting.next()
        while not waiting.nothing_for(SILENCE):
            pass  # what the move itself changes

        flagsite.switch(SOUTH, "events.moved", on=True)

        assert waiting.next().data["type"] == "refetchEvaluation"


def test_whoever_connects_is_told_to_ask_since_something_may_have_changed_meanwhile(flagsite: Served) -> None:
    address = flagsite.events_address(organizationId=SOUTH_STORE)

    with waiting_at(address) as first:  # which takes that event
        first.response.close()
    with waiting_at(address, Last_Event_ID="1763900000000000000") as back:
        assert back.nothing_for(SILENCE)  # once, not twice


def test_ids_of_events_grow(flagsite: Served) -> None:
    with waiting_at(flagsite.events_address()) as waiting:
        flagsite.define("events.id", enabled=True)
        first = waiting.next()
        flagsite.define("events.id", enabled=False)

        assert int(waiting.next().id) > int(first.id)


def test_a_revoked_key_ends_its_connections_and_opens_no_new_one(flagsite: Served) -> None:
    key = flagsite.new_key("leaver", organization=NORTH)
    address = flagsite.events_address(key)
    with waiting_at(address) as waiting, waiting_at(flagsite.events_address()) as other:
        flagsite.revoke(key)

        assert waiting.ended.wait(5)
        assert not other.ended.is_set()
    refused = httpx.get(address)
    assert refused.status_code == 401
    assert refused.json() == {"errorDetails": "The token is not valid. Evaluate all flags for a new one."}


def test_a_key_hears_nothing_more_of_an_organization_that_was_moved_out_of_its_subtree(flagsite: Served) -> None:
    key = flagsite.new_key("northerner", organization=NORTH)
    made = flagsite.post("/organizations", json={"name": "Leaver", "key": "leaver", "parentId": NORTH}).json()
    address = flagsite.events_address(key, organizationId=made["id"])
    with waiting_at(address) as waiting:
        headers = {"Authorization": f"Bearer {flagsite.key}"}
        url = f"{flagsite.url}/organizations/{made['id']}"
        httpx.patch(url, headers=headers, json={"parentId": SOUTH}, timeout=20).raise_for_status()

        assert waiting.ended.wait(10)
    assert httpx.get(address).status_code == 401


def test_a_token_that_was_tampered_with_opens_nothing(flagsite: Served) -> None:
    address = flagsite.events_address(organizationId=NORTH)
    plain = address.partition("?")[0]

    for wrong in (f"{address}x", replaced(address, "token=", "token=a"), f"{plain}?token=", plain):
        assert httpx.get(wrong).status_code == 401, wrong
    assert httpx.post(address).status_code == 405


def test_only_pages_of_allowed_origins_may_listen(flagsite: Served) -> None:
    address = flagsite.events_address()

    with waiting_at(address, Origin=flagsite.page_origin) as ours:
        assert ours.response.headers["Access-Control-Allow-Origin"] == flagsite.page_origin
        assert ours.response.headers["Content-Type"] == "text/event-stream"
    with waiting_at(address, Origin="https://stranger.example") as foreign:
        assert "Access-Control-Allow-Origin" not in foreign.response.headers


def test_clients_stay_while_the_database_restarts_and_are_told_once_it_is_back(flagsite: Served) -> None:
    flagsite.define("events.restart")
    address = flagsite.events_address(organizationId=NORTH_STORE)
    page = flagsite.events_address(flagsite.new_key("restart", role="client"), organizationId=NORTH_STORE)
    with waiting_at(address) as waiting, waiting_at(page) as client:
        assert waiting.nothing_for(SILENCE)  # the process has looked for changes since it began to listen
        flagsite.postgres.stop()
        assert waiting.nothing_for(SILENCE)
        refused = httpx.get(address)
        flagsite.postgres.start()
        waiting.next(within=30)
        client.next(within=30)

        assert refused.status_code == 503
        assert waiting.nothing_for(SILENCE)
        eventually(lambda: flagsite.get("/organizations").status_code == 200, within=30)
        flagsite.switch(NORTH, "events.restart", on=True)
        waiting.next(within=30)
        assert not waiting.ended.is_set()
        with waiting_at(address):
            pass  # the process has a connection for new clients as well


def test_clients_that_wait_cost_little_memory_and_are_all_told(flagsite: Served) -> None:
    address = flagsite.events_address(organizationId=NORTH_STORE)
    before = _memory(flagsite)

    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may have its loop in this one
        during, seconds = thread.submit(asyncio.run, _wait_together(flagsite, address)).result()

    print(f"{CLIENTS} waiting clients: {(during - before) / CLIENTS / 1024:.0f} KiB each, all told in {seconds:.2f} s")
    assert during - before < CLIENTS * 100 * 1024
    eventually(lambda: int(httpx.get(_live(flagsite)).json()["errorDetails"].split()[0]) < CLIENTS // 10, within=10)


async def _wait_together(flagsite: Served, address: str) -> tuple[int, float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(30)) as client, asyncio.TaskGroup() as group:
        connected = asyncio.Semaphore(0)
        told = [group.create_task(_second_event(client, address, connected)) for _ in range(CLIENTS)]
        for _ in range(CLIENTS):
            await connected.acquire()
        memory = await asyncio.to_thread(_memory, flagsite)
        began = time.monotonic()
        await asyncio.to_thread(flagsite.define, "events.many-clients")
        return memory, max(await asyncio.gather(*told)) - began


async def _second_event(client: httpx.AsyncClient, address: str, connected: asyncio.Semaphore) -> float:
    """When the event came that follows the first, which everybody gets who connects."""
    events = 0
    async with client.stream("GET", address) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events += 1
                connected.release()
                if events == 2:
                    return time.monotonic()
    raise AssertionError("the connection ended early")


def _memory(flagsite: Served) -> int:
    """Bytes that the process takes which tells of changes, its parent included."""
    events = next(one for one in flagsite.processes if "--asgi" in one.args)
    parent = psutil.Process(events.pid)
    return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))


def _live(flagsite: Served) -> str:
    return f"http://127.0.0.1:{flagsite.events_port}/livez"
