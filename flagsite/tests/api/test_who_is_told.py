"""Which clients that wait get an event, and which only look whether they may go on waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.core import signing

from flags.evaluation.engine import StateValue
from flags.serving.cache_events import AccessKeyChanged, CacheEvent, OrganizationMoved, StatesWritten
from flags.serving.ofrep import EVENTS_SALT
from flagsite.web import event_stream
from flagsite.web.event_stream import PATH, EventStream

LINE = (1, 2, 3)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...] | None]:
    """Where the client's organization stands, which a test may change, and how often somebody has looked."""
    found: list[tuple[int, ...] | None] = [LINE]
    monkeypatch.setattr(event_stream, "_line_for", lambda organization_id, key: found[0])
    monkeypatch.setattr(event_stream, "SETTLE_SECONDS", 0)
    return found


def told(news: CacheEvent, *, before: Callable[[], object] = lambda: None) -> list[str]:
    """What a client of organization 3 gets that waits with the key "ours" while this is heard."""
    return asyncio.run(_told(news, before))


async def _told(news: CacheEvent, before: Callable[[], object]) -> list[str]:
    parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    application = EventStream()
    token = signing.Signer(salt=EVENTS_SALT).sign_object([3, "key:ours"])
    scope = {"type": "http", "path": PATH, "method": "GET", "query_string": f"token={token}".encode(), "headers": []}
    stream = asyncio.create_task(application(scope, asyncio.Event().wait, parts.put))
    await _next(parts, "refetchEvaluation")  # as everybody who connects
    before()
    application._subscriptions.take(news)
    got = []
    for _ in range(50):  # the loop's turns, in which the client's stream does what it has to
        await asyncio.sleep(0.002)
    while not parts.empty():
        part = parts.get_nowait()
        got.append("event" if part.get("body") else "end")
    stream.cancel()
    return got


async def _next(parts: asyncio.Queue[dict[str, Any]], text: str) -> None:
    while text.encode() not in (await asyncio.wait_for(parts.get(), 10)).get("body", b""):
        pass


@pytest.mark.parametrize(
    "news", [AccessKeyChanged("theirs"), AccessKeyChanged("ours"), "keys", "tree", OrganizationMoved(9),
             StatesWritten(9, 0, 10, StateValue(1, True, 9, 1)), StatesWritten(1, 3, 10, StateValue(1, True, 1, 1))],
)  # fmt: skip
def test_what_changes_nothing_for_a_client_is_not_told(line: object, news: CacheEvent) -> None:
    assert told(news) == []


@pytest.mark.parametrize(
    "news", ["definitions", OrganizationMoved(2), StatesWritten(2, 0, 10, StateValue(1, True, 2, 1))]
)
def test_what_changes_something_is_told_once(line: object, news: CacheEvent) -> None:
    assert told(news) == ["event"]


def test_a_client_whose_organization_stands_elsewhere_is_told(line: list[Any]) -> None:
    assert told("tree", before=lambda: line.__setitem__(0, (7, 3))) == ["event"]


@pytest.mark.parametrize("news", [AccessKeyChanged("ours"), "keys", OrganizationMoved(3), "tree"])
def test_a_client_whose_key_or_organization_is_gone_is_sent_away(line: list[Any], news: CacheEvent) -> None:
    assert told(news, before=lambda: line.__setitem__(0, None)) == ["end"]
