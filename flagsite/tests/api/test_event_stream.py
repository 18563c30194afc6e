"""Which waiting clients get an event, and for which only the path and the key are checked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from flags.evaluation.engine import StateValue
from flags.serving.cache_events import AccessKeyChanged, CacheEvent, EverythingOf, OrganizationMoved, StatesWritten
from flags.serving.event_token import event_token
from flags.serving.subscriptions import Subscription
from flags.states.set_flag import set_flag
from flagsite.web import event_stream
from flagsite.web.event_polling import ChangePoll
from flagsite.web.event_stream import PATH, EventStream
from orgs.access import access_keys
from orgs.access.models import AccessKey
from orgs.attributes import attribute_operations
from orgs.tree.models import Organization

ANCESTORS = (1, 2, 3)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...] | None]:
    """The path of the client's organization, which a test may change."""
    found: list[tuple[int, ...] | None] = [ANCESTORS]

    def access(organization_id: int | None, key_prefix: str) -> event_stream._Access | None:
        return None if found[0] is None else event_stream._Access(found[0], event_stream.LONGEST_SECONDS)

    monkeypatch.setattr(event_stream, "_access_of", access)
    monkeypatch.setattr(event_stream, "SETTLE_SECONDS", 0)
    return found


def sent(event: CacheEvent, *, before: Callable[[], object] = lambda: None) -> list[str]:
    """What a client gets at this event that waits for organization 3 with the key "ours"."""
    return asyncio.run(_sent(event, before))


async def _sent(event: CacheEvent, before: Callable[[], object]) -> list[str]:
    application = EventStream()

    async def notify() -> None:
        before()
        application._subscriptions.notify(event)

    return await _collected(application, notify)


async def _collected(application: EventStream, happen: Callable[[], Awaitable[None]]) -> list[str]:
    """What the client that waits for organization 3 gets after something has happened."""
    parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    token = event_token(3, "key:ours nightly")
    scope = {"type": "http", "path": PATH, "method": "GET", "query_string": f"token={token}".encode(), "headers": []}
    stream = asyncio.create_task(application(scope, asyncio.Event().wait, parts.put))
    await _next(parts, "refetchEvaluation")  # as everybody who connects
    await happen()
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
    "event", [AccessKeyChanged("theirs"), AccessKeyChanged("ours"), EverythingOf.KEYS, EverythingOf.TREE,
              OrganizationMoved(9),
             StatesWritten(9, 0, 10, StateValue(1, True, 9, 1)), StatesWritten(1, 3, 10, StateValue(1, True, 1, 1))],
)  # fmt: skip
def test_what_changes_nothing_for_a_client_is_not_told(path: object, event: CacheEvent) -> None:
    assert sent(event) == []


@pytest.mark.parametrize(
    "event", [EverythingOf.DEFINITIONS, OrganizationMoved(2), StatesWritten(2, 0, 10, StateValue(1, True, 2, 1))]
)
def test_what_changes_something_is_told_once(path: object, event: CacheEvent) -> None:
    assert sent(event) == ["event"]


def test_a_client_whose_organization_stands_elsewhere_is_told(path: list[Any]) -> None:
    assert sent(EverythingOf.TREE, before=lambda: path.__setitem__(0, (7, 3))) == ["event"]


@pytest.mark.parametrize(
    "event", [AccessKeyChanged("ours"), EverythingOf.KEYS, OrganizationMoved(3), EverythingOf.TREE]
)
def test_a_client_whose_key_or_organization_is_gone_is_sent_away(path: list[Any], event: CacheEvent) -> None:
    assert sent(event, before=lambda: path.__setitem__(0, None)) == ["end"]


@pytest.fixture
def open_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection of the test open, which the stream's thread would close."""
    monkeypatch.setattr(event_stream, "close_old_connections", lambda: None)


def key_that_expires(in_: timedelta | None, organization: Organization | None = None) -> str:
    expires = None if in_ is None else timezone.now() + in_
    key, _ = access_keys.create(name="page", organization=organization)
    AccessKey.objects.filter(pk=key.pk).update(expiry_date=expires)
    return key.prefix


def test_an_expired_or_revoked_key_gets_no_stream(cast: Cast, open_connection: None) -> None:
    """The same keys that the API accepts get a stream."""
    assert event_stream._access_of(cast.oslo.pk, key_that_expires(None)) is not None
    assert event_stream._access_of(cast.oslo.pk, key_that_expires(timedelta(hours=1))) is not None
    assert event_stream._access_of(cast.oslo.pk, key_that_expires(-timedelta(seconds=1))) is None
    revoked = key_that_expires(None)
    access_keys.revoke(prefix=revoked)
    assert event_stream._access_of(cast.oslo.pk, revoked) is None


def test_a_stream_ends_when_its_key_expires(cast: Cast, open_connection: None) -> None:
    access = event_stream._access_of(cast.oslo.pk, key_that_expires(timedelta(minutes=5), cast.acme))
    assert access is not None
    assert access.path == (cast.acme.pk, cast.north.pk, cast.oslo.pk)
    assert 0 < access.seconds_left <= 300
    assert asyncio.run(_parts_of_a_stream(seconds_left=0.0)) == [b"retry: 1000\n\n", b""]


async def _parts_of_a_stream(seconds_left: float) -> list[bytes]:
    parts: list[bytes] = []

    async def send(part: dict[str, Any]) -> None:
        parts.append(part["body"])

    subscription = Subscription(ANCESTORS, "ours", asyncio.get_running_loop())
    stream = EventStream()._stream(3, subscription, seconds_left, asyncio.Event().wait, send)
    await asyncio.wait_for(stream, 10)
    return parts


@pytest.mark.django_db(transaction=True)
def test_a_server_that_hears_nothing_finds_by_queries_whom_a_change_concerns(cast: Cast) -> None:
    poll = ChangePoll()
    both = [cast.oslo.pk, cast.rome.pk]
    assert poll.changed(both) is None  # everybody, at first
    assert poll.changed(both) == set()
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert poll.changed(both) is None  # there is a definition more
    assert poll.changed(both) == set()
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=False)
    assert poll.changed(both) == {cast.oslo.pk}
    assert poll.changed([*both, cast.bergen.pk]) == {cast.bergen.pk}
    Organization.objects.get(pk=cast.oslo.pk).delete()
    assert poll.changed(both) == {cast.oslo.pk}


@pytest.mark.django_db(transaction=True)
def test_it_finds_by_queries_below_whom_an_attribute_has_changed_that_rules_read(cast: Cast) -> None:
    clauses = [{"attribute": "org.plan", "op": "in", "values": ["pro"]}]
    rules = [{"id": "pros", "clauses": clauses, "serve": {"variant": "on"}}]
    service.create(key="checkout", values={"targeting_rules": rules}, by="user:olga")
    poll, both = ChangePoll(), [cast.oslo.pk, cast.rome.pk]
    assert poll.changed(both) is None
    attribute_operations.change(organization_id=cast.north.pk, values={"plan": "pro"})
    assert poll.changed(both) == {cast.oslo.pk}
    attribute_operations.change(organization_id=cast.acme.pk, values={"unread": "x"})
    assert poll.changed(both) == set()
    attribute_operations.change(organization_id=cast.north.pk, values={"plan": "free"})
    assert poll.changed(both) == {cast.oslo.pk}


def test_while_nothing_is_heard_waiting_clients_are_told_of_what_the_queries_find(
    path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 0)
    monkeypatch.setattr(event_stream, "HEARS_SECONDS", 0)
    asked: list[set[int]] = []

    class Poll:
        def changed(self, organization_ids: set[int]) -> set[int]:
            asked.append(organization_ids)
            return {3} if len(asked) == 1 else set()

    monkeypatch.setattr(event_stream, "ChangePoll", Poll)
    assert asyncio.run(_polled()) == ["event"]
    assert asked[0] == {3}


async def _polled() -> list[str]:
    """What the client gets that waits for organization 3 while its server polls."""
    application = EventStream()
    polling: list[asyncio.Task[None]] = []

    async def poll() -> None:
        polling.append(asyncio.create_task(application._poll()))

    got = await _collected(application, poll)
    polling[0].cancel()
    return got
