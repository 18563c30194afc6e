"""OpenFeature's Remote Evaluation Protocol (OFREP 0.3): https://github.com/open-feature/protocol, service/openapi.yaml.

The hot path: bytes in, bytes out, from memory, without Django's request, ORM or REST framework. What surprises
clients is in docs/openfeature.md.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any
from weakref import ref

import orjson
from django.conf import settings
from django.core import signing
from mmh3 import mmh3_x64_128_digest

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.serving import usage_counter
from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.compiled_environment import CompiledFlags, compiled_flags_for
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.not_modified_cache import NotModifiedCache, NotModifiedEntry
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import MAX_ID
from orgs.access.caller import Caller
from orgs.errors import OrganizationNotFound

ALL = "/ofrep/v1/evaluate/flags"
ONE = f"{ALL}/"
BELOW = re.compile(f"/organizations/(?P<organization>[^/]{{1,255}}){ALL}(?:/(?P<key>[^/]+))?")
ROUTE, ROUTE_OF_ONE, ROUTE_BELOW = ALL[1:], f"{ALL[1:]}/<key>", "organizations/<organization>/"
"""Under which requests are counted."""
LONGEST_BODY = 65_536
TOLD = "flagConfig"
"""In the query of a client that was told to ask anew (flagConfigEtag, flagConfigLastModified): told once only."""
MOST_BUDGETS = 1_000
"""Those whose minute is over are dropped where there are more."""
EVENTS_SALT = "flags.events"
STATUS_OF: Mapping[type[FlagsiteError] | None, int] = {None: 200, TargetingKeyMissing: 400, UnknownHashVersion: 500}
"""Of the answer about one flag, by what kept it from being decided."""
JSON = ("Content-Type", "application/json")
NO_CACHE = ("Cache-Control", "no-cache")


Environ = dict[str, Any]
"""A request as WSGI hands it on (PEP 3333), which lets an application keep there what is its own."""
BODY, COUNTED = "flagsite.body", "flagsite.counted"
"""Its body, once it was read, and that it was counted in its caller's budget: it may be answered a second time."""
Answered = tuple[int, Sequence[tuple[str, str]], bytes, str]
"""A response: status, headers, body, and the route under which it is counted."""


class Refused(Exception):
    """The request gets no evaluation, but this answer."""

    def __init__(self, status: int, code: str | None, details: str, *headers: tuple[str, str]) -> None:
        super().__init__(details)
        self.status = status
        self.content: dict[str, Any] = {"errorCode": code} if code else {}
        self.content["errorDetails"] = details
        self.headers = [JSON, *headers]


class RemoteEvaluation:
    """Answers the protocol's two requests."""

    def __init__(
        self, memory: EvaluationCache, callers: AccessKeyCache, heard_all: Callable[[], bool] = lambda: True
    ) -> None:
        """`heard_all` waits until the memory knows of all that was committed, and says whether it does."""
        self._memory = memory
        self._callers = callers
        self._heard_all = heard_all
        stream = f"{settings.EVENTS_URL} {settings.SECRET_KEY}"  # on which its address depends
        self._has_streams = bool(settings.EVENTS_URL)
        self._stream_of = hashlib.blake2b(stream.encode(), digest_size=16).digest()
        self._most = settings.EVALUATION_RATE_LIMIT
        self._repeats = NotModifiedCache(memory)
        self._budgets: dict[str, list[float]] = {}

    def answer(self, environ: Environ, path: str) -> Answered | None:
        """The response; None when the path is none of the protocol's. `path` is that of the request, as text."""
        organization, key, route = None, None, ROUTE
        if path == ALL:
            path = ALL  # one object for all that is kept of requests
        elif path.startswith(ONE):
            key, route = path[len(ONE) :], ROUTE_OF_ONE
            if not key or "/" in key:
                return None
        else:
            found = BELOW.fullmatch(path)
            if found is None:
                return None
            organization, key = found["organization"], found["key"]
            route = ROUTE_BELOW + (ROUTE if key is None else ROUTE_OF_ONE)
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return 204, [("Allow", "POST, OPTIONS")], b"", route
        try:
            return self._evaluate(environ, path, organization, key, route)
        except Refused as refused:
            content = {"key": key, **refused.content} if key is not None else refused.content
            return refused.status, refused.headers, orjson.dumps(content), route

    def _evaluate(self, environ: Environ, path: str, organization: str | None, key: str | None, route: str) -> Answered:
        if environ["REQUEST_METHOD"] != "POST":
            raise Refused(405, None, "Send a POST.", ("Allow", "POST, OPTIONS"))
        caller = self._caller(environ)
        body = _body(environ)
        told = TOLD in environ.get("QUERY_STRING", "")
        sent = environ.get("HTTP_IF_NONE_MATCH") if key is None else None
        if sent is not None and not told:
            view = self._repeats.find(path, sent, body, caller)
            if view is not None:
                usage_counter.count_all(view)
                return 304, (("ETag", sent), NO_CACHE), b"", route
        context = _context(body)
        sure = not told or self._heard_all()
        view = self._view(caller, organization, context)
        user, environment = _text(context, "targetingKey"), _text(context, "environment")
        definitions = self._memory.definitions()
        if not sure:
            view, definitions = self._memory.anew(view)
        states = view.states  # looked at once, so that the tag is that of the answer
        if key is not None:
            status, entry = _one(compiled_flags_for(definitions, states, environment), view, key, user)
            return status, (JSON,), entry, route
        usage_counter.count_all(view)  # one that is answered 304 is an evaluation as well
        tag = self._tag(definitions.fingerprint + states.fingerprint, view, caller, user, environment)
        if sent is not None and _matches(sent, tag):
            if sent == tag:
                known = NotModifiedEntry(path, body, caller, definitions.fingerprint, states.fingerprint, ref(view))
                self._repeats.keep(tag, known)
            return 304, (("ETag", tag), NO_CACHE), b"", route
        entries = compiled_flags_for(definitions, states, environment).bulk.entries(view, user, user.encode())
        return 200, (JSON, ("ETag", tag), NO_CACHE), _all(entries, self._about(view, caller)), route

    def _tag(self, holds: bytes, view: OrganizationSnapshot, caller: Caller, user: str, environment: str) -> str:
        """Of all that the answer depends on; the same in every process, and known before anything is evaluated."""
        about = f"{caller.name}\n{len(user)}:{user}{environment}".encode()
        content = holds + self._stream_of + view.line + about
        return f'"{mmh3_x64_128_digest(content).hex()}"'

    def _about(self, view: OrganizationSnapshot, caller: Caller) -> bytes:
        """The rest of a bulk answer: for which organization it is, and where changes are told."""
        organization_id = view.organization_id
        metadata = b'"metadata":{"organizationId":%d}' % organization_id if organization_id else b'"metadata":{}'
        if not self._has_streams:
            return metadata + b"}"
        return b'%b,"eventStreams":%b}' % (metadata, _stream(organization_id, caller.name))

    def _caller(self, environ: Environ) -> Caller:
        scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            key = environ.get("HTTP_X_API_KEY", "")
        caller = self._callers.caller_with(key.strip()) if key else None
        if caller is None:
            details = "The access key is not valid: unknown, revoked or expired." if key else "Send an access key."
            raise Refused(401, None, details, ("WWW-Authenticate", 'Bearer realm="flagsite"'))
        if COUNTED not in environ:
            self._spend(caller)
            environ[COUNTED] = True
        return caller

    def _spend(self, caller: Caller) -> None:
        """Count the request in the caller's minute in this process. Raises Refused."""
        now = monotonic()
        budget = self._budgets.get(caller.name)
        if budget is None or budget[0] < now:
            if len(self._budgets) >= MOST_BUDGETS:
                self._budgets = {name: one for name, one in list(self._budgets.items()) if one[0] >= now}
            budget = self._budgets[caller.name] = [now + 60, 0]
        budget[1] += 1
        if budget[1] > self._most:
            wait = str(max(1, round(budget[0] - now)))
            raise Refused(429, None, "Too many evaluations in a minute.", ("Retry-After", wait))

    def _view(self, caller: Caller, named: str | None, context: dict[str, Any]) -> OrganizationSnapshot:
        try:  # a context manager would cost as much as all the rest
            view = self._find(caller, named, context)
        except OrganizationNotFound:
            view = None
        if view is None or (caller.organization_id is not None and caller.organization_id not in view.ids):
            status = 404 if named is not None else 400
            raise Refused(status, "INVALID_CONTEXT", "There is no such organization, or it is not yours.")
        return view

    def _find(self, caller: Caller, named: str | None, context: dict[str, Any]) -> OrganizationSnapshot:
        """The organization that the path names, else the context, else the key's own; NOWHERE for none."""
        memory = self._memory
        if named is None and (asked_id := context.get("organizationId")) is not None:
            if type(asked_id) is int and 0 < asked_id <= MAX_ID:
                return memory.view(asked_id)
            if type(asked_id) not in (int, str):
                raise Refused(400, "INVALID_CONTEXT", "The context's organizationId must be an integer or a string.")
            named = str(asked_id)
        if named is None:
            if asked_key := _text(context, "organizationKey"):
                return memory.view_by_key(asked_key)
            return memory.view(caller.organization_id) if caller.organization_id is not None else NO_ORGANIZATION
        return memory.view_called(named)


def _body(environ: Environ) -> bytes:
    """The body. Raises Refused when it is longer than LONGEST_BODY."""
    body: bytes | None = environ.get(BODY)
    if body is None:
        body = environ[BODY] = environ["wsgi.input"].read(LONGEST_BODY + 1)
    if len(body) > LONGEST_BODY:
        raise Refused(413, "PARSE_ERROR", f"The body is longer than {LONGEST_BODY} bytes.")
    return body


def _context(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "PARSE_ERROR", f"The body is not valid JSON: {error.msg}.") from None
    context = content.get("context") if isinstance(content, dict) else None
    if not isinstance(context, dict):
        raise Refused(400, "INVALID_CONTEXT", 'The body must have the form {"context": {"targetingKey": "…"}}.')
    return context


def _text(context: dict[str, Any], name: str) -> str:
    value = context.get(name, "")
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise Refused(400, "INVALID_CONTEXT", f"The context's {name} must be a string.")


def _one(answers: CompiledFlags, view: OrganizationSnapshot, key: str, user: str) -> tuple[int, bytes]:
    """The status and the flag's entry. Raises Refused."""
    answer = answers.of(key)
    if answer is None:
        raise Refused(404, "FLAG_NOT_FOUND", f"There is no flag {key!r}.")
    usage_counter.count(view.organization_id, key)
    outcome = answer.decide(view, user, user.encode())
    return STATUS_OF[outcome.error], outcome.json


def _all(entries: list[bytes], about: bytes) -> bytes:
    """A bulk answer; what is around the entries goes into the first and the last, so that all is copied once only."""
    if not entries:
        return b'{"flags":[],' + about
    entries[0] = b'{"flags":[' + entries[0]
    entries[-1] += b"]," + about
    return b",".join(entries)


def _matches(sent: str, tag: str) -> bool:
    """Whether an If-None-Match names the tag."""
    return sent == tag or sent.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in sent.split(",")]


@functools.lru_cache(maxsize=50_000)
def _stream(organization_id: int | None, caller: str) -> bytes:
    token = signing.Signer(salt=EVENTS_SALT).sign_object([organization_id, caller.partition(" ")[0]])
    url = f"{settings.EVENTS_URL}/ofrep/v1/events?token={token}"
    return bytes(memoryview(orjson.dumps([{"type": "sse", "url": url, "inactivityDelaySec": 120}])))
