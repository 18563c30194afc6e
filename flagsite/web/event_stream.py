"""The event stream: server-sent events (https://html.spec.whatwg.org, section 9.2) tell clients of OFREP of changes.

An ASGI application in a process of its own: a client that waits for hours takes a few kilobytes here, but would keep
a thread of the web processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, close_old_connections
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from flags.evaluation import context_loader
from flags.serving.event_token import read_event_token
from flags.serving.pg_listener import ChangeListener
from flags.serving.subscriptions import Subscription, Subscriptions
from flagsite.core.adapters.django_orm import renew_connections
from flagsite.core.db import database_watch
from flagsite.health.doctor_token import is_doctor_token
from flagsite.web.event_polling import ChangePoll
from flagsite.web.waiting_for_database import watch_database
from flagsite.web_server.limits import Limits
from orgs.access.access_keys import usable_keys
from orgs.access.models import Role
from orgs.errors import OrganizationNotFound

log = structlog.get_logger(__name__)
PATH = "/ofrep/v1/events"
METHODS = {"/livez": ("GET", "HEAD"), "/readyz": ("GET", "HEAD"), PATH: ("GET",)}
"""The methods of each address."""
SETTLE_SECONDS = 0.1
"""Changes that come so close together are one event; meanwhile the web processes hear of them too."""
SILENCE_SECONDS = 20.0
"""After so long a comment is sent, so that no proxy takes the connection for dead."""
POLL_SECONDS = 1.0
"""The pause between two looks for changes while the listener does not hear of them."""
HEARS_SECONDS = 0.2
"""The pause between two looks at the listener."""
LONGEST_SECONDS = 3600.0
"""Then the client connects again by itself, and its key is checked again. The stream of a key ends when it expires."""
DOCTOR_APART_SECONDS = 1.0
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class EventStream:
    """The application: GET /ofrep/v1/events?token=…, which a bulk evaluation hands out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._subscriptions = Subscriptions()
        self._hears = False
        self._has_gap = False
        """Whether changes may have been missed that nobody has looked for yet."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """As ASGI 3 has it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] in METHODS and scope["method"] not in METHODS[scope["path"]]:
            allowed = ", ".join(METHODS[scope["path"]])
            await _respond(
                send, 405, f"This method does nothing at this address. Use one of these: {allowed}.", allowed
            )
        elif scope["path"] == "/livez":
            await _respond(send, 200, f"{len(self._subscriptions)} wait")
        elif scope["path"] == "/readyz":
            listener = "ok" if self._hears else "not ok"
            await _respond_json(send, 200, {"status": "ready", "checks": {"listener": listener}})
        elif scope["path"] != PATH:
            await _respond(send, 404, "There is nothing here.")
        elif is_doctor_token(token := parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]):
            await _stream_for_doctor(scope, send)
        else:
            asked = read_event_token(token)
            try:
                access = await sync_to_async(_access_of)(*asked) if asked else None
            except Error as error:
                log.warning("events_without_database", error=str(error))
                await _respond(send, 503, "The database is away. Try again in a second.")
                return
            if asked is None or access is None:
                await _respond(send, 401, "The token is not valid. Evaluate all flags for a new one.")
            else:
                if access.is_client:
                    await sync_to_async(self._subscriptions.client_flags.know)()
                await _start_stream(scope, send)
                loop = asyncio.get_running_loop()
                subscription = Subscription(access.path, asked[1], loop, is_client=access.is_client)
                await self._stream(asked[0], subscription, access.seconds_left, receive, send)

    async def _stream(
        self,
        organization_id: int | None,
        subscription: Subscription,
        seconds_left: float,
        receive: Receive,
        send: Send,
    ) -> None:
        gone = asyncio.create_task(_wait_until_gone(receive, subscription))
        end = time.monotonic() + min(LONGEST_SECONDS, seconds_left)
        try:
            with self._subscriptions.waiting(subscription):
                await send(_part(b"retry: 1000\n\n"))
                subscription.wake()  # no event told the client of changes since it evaluated, or while it was away
                while (left := end - time.monotonic()) > 0:
                    woken = await subscription.wait(min(SILENCE_SECONDS, left))
                    if gone.done():
                        break
                    if not woken:
                        await send(_part(b": still here\n\n"))
                        continue
                    await asyncio.sleep(SETTLE_SECONDS)
                    if subscription.must_recheck and not await self._still_valid(organization_id, subscription):
                        break
                    if subscription.has_changes:
                        subscription.has_changes = False  # before the event, so that a change meanwhile is another
                        await send(_part(_event()))
        except OSError:
            pass  # the client is gone
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _still_valid(self, organization_id: int | None, subscription: Subscription) -> bool:
        """Whether the access key is still valid; the subscription gets the path that its organization has by now."""
        subscription.must_recheck = False
        try:
            access = await sync_to_async(_access_of)(organization_id, subscription.key_prefix)
        except Error:
            subscription.must_recheck = True  # when the database is back, all are woken
            return True
        if access is not None and access.is_client != subscription.is_client:
            subscription.is_client = access.is_client
            subscription.has_changes = True
        if access is not None and access.path != subscription.path:
            self._subscriptions.move(subscription, access.path)
            subscription.has_changes = True
        return access is not None

    async def _live(self, receive: Receive, send: Send) -> None:
        """Listen as long as the server runs."""
        listener = ChangeListener(self._subscriptions.notify, self._note_gap, self._set_hearing)
        polling = asyncio.create_task(self._poll())
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                listener.start()
                watch_database(listener)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                polling.cancel()
                await sync_to_async(database_watch.stop)()
                await sync_to_async(listener.stop)()
                return

    def _set_hearing(self, *, hears: bool) -> None:
        if not hears:
            renew_connections()
        self._hears = hears

    def _note_gap(self) -> None:
        self._has_gap = True

    async def _poll(self) -> None:
        """Look for changes while the listener does not hear of them, and once more when it hears again."""
        poll, next_poll = ChangePoll(), 0.0
        while True:
            await asyncio.sleep(HEARS_SECONDS)
            has_gap = self._has_gap
            if self._hears and not has_gap:
                poll, next_poll = ChangePoll(), 0.0
                continue
            if time.monotonic() < next_poll and not has_gap:
                continue
            next_poll = time.monotonic() + POLL_SECONDS
            self._has_gap = False
            try:
                changed = await sync_to_async(poll.changed)(self._subscriptions.organization_ids())
            except Error as error:
                self._has_gap |= has_gap
                log.warning("events_without_database", error=str(error))
                await asyncio.sleep(POLL_SECONDS)
                continue
            if has_gap:
                self._subscriptions.recheck_all()
            if changed is None:
                await sync_to_async(self._subscriptions.wake_all)()  # reads definitions where clients wait
            else:
                self._subscriptions.wake_changed(changed)


class _Access(NamedTuple):
    """What a client may hear: the changes of the organizations of `path`, until its access key expires.

    With the role client (`is_client`) it hears of the flags only that are available to clients.
    """

    path: tuple[int, ...]
    seconds_left: float
    is_client: bool = False


def _access_of(organization_id: int | None, key_prefix: str) -> _Access | None:
    """The client's access; None where the access key is not valid or does not see the organization.

    An organization may have been moved out of the key's scope after the token was made.
    """
    try:
        left = ExpressionWrapper(F("expiry_date") - Now(), output_field=DurationField())
        usable = usable_keys().filter(prefix=key_prefix).annotate(left=left).first()
        if usable is None:
            return None
        path = context_loader.load_context(organization_id).ids if organization_id is not None else ()
        if usable.organization_id is not None and usable.organization_id not in path:
            return None
        seconds_left = LONGEST_SECONDS if usable.left is None else usable.left.total_seconds()
        return _Access(path, seconds_left, is_client=usable.role == Role.CLIENT)
    except OrganizationNotFound:
        return None
    finally:
        close_old_connections()


def _event() -> bytes:
    data = orjson.dumps({"type": "refetchEvaluation", "lastModified": int(time.time())})
    return b"event: message\nid: %d\ndata: %b\n\n" % (time.time_ns(), data)


async def _start_stream(scope: dict[str, Any], send: Send) -> None:
    """Send the headers. They also tell common proxies not to keep back events: nginx reads X-Accel-Buffering."""
    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store, no-transform"),
        (b"x-accel-buffering", b"no"),
        *_cors(scope),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _stream_for_doctor(scope: dict[str, Any], send: Send) -> None:
    """Send two comments one second apart, so that `doctor --url` finds out whether a proxy keeps back the first."""
    await _start_stream(scope, send)
    await send(_part(b": first\n\n"))
    await asyncio.sleep(DOCTOR_APART_SECONDS)
    await send(_part(b": second\n\n"))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_until_gone(receive: Receive, subscription: Subscription) -> None:
    """Wait until the client is gone, and end the wait for changes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.wake()


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _header(scope: dict[str, Any], name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


def _cors(scope: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    origin = _header(scope, b"origin").decode("latin-1")
    allowed = origin and (origin in settings.CORS_ORIGINS or "*" in settings.CORS_ORIGINS)
    return [(b"vary", b"Origin"), (b"access-control-allow-origin", origin.encode("latin-1"))] if allowed else []


async def _respond(send: Send, status: int, details: str, allowed: str = "") -> None:
    await _respond_json(send, status, {"errorDetails": details}, allowed)


async def _respond_json(send: Send, status: int, content: dict[str, Any], allowed: str = "") -> None:
    headers = [(b"content-type", b"application/json"), *([(b"allow", allowed.encode())] if allowed else ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(content)})
