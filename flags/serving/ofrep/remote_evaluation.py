"""Answers the protocol's two requests: one flag, and all flags at once."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from django.conf import settings

from flags.errors import FlagNotFound
from flags.serving import usage_counter
from flags.serving.access_key_cache import AccessKeyCache
from flags.serving.definition_set import DefinitionSet
from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep.answer import STATUS_OF_ERROR, bulk_body, event_stream_fingerprint, event_streams
from flags.serving.ofrep.authentication import authenticate
from flags.serving.ofrep.entity_tag import entity_tag, matches
from flags.serving.ofrep.evaluation_context import Context, parse_context, read_body, snapshot_for, text_of
from flags.serving.ofrep.evaluation_rate_limit import EvaluationRateLimit
from flags.serving.ofrep.not_modified_cache import CLIENT, NotModifiedCache, NotModifiedEntry
from flags.serving.ofrep.protocol import ALLOW, JSON, NO_CACHE, Environ, EvaluationRefused, Response
from flags.serving.ofrep.routes import BULK_PATH, BULK_ROUTE, UNKNOWN_ROUTE, Route, belongs_to_protocol, find_route
from flags.serving.organization_snapshot import OrganizationSnapshot
from orgs.access.caller import Caller

AFTER_EVENT = "flagConfig"
"""In the query of a client that asks again because of an event (flagConfigEtag, flagConfigLastModified)."""
NOTHING_THERE = (
    "There is nothing at this address. Send a POST to /ofrep/v1/evaluate/flags to evaluate all flags, or to "
    "/ofrep/v1/evaluate/flags/{key} for one flag. Event streams are at the address that a bulk evaluation returns."
)
COUNTED = "flagsite.counted"
"""In `environ`: the request was counted in its caller's budget; it may be answered a second time."""


class RemoteEvaluation:
    """Evaluates flags for requests, from the caches of this process."""

    def __init__(
        self,
        cache: EvaluationCache,
        access_keys: AccessKeyCache,
        is_up_to_date: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_up_to_date` waits until the cache has all that is committed, and returns whether it has."""
        self._cache = cache
        self._access_keys = access_keys
        self._is_up_to_date = is_up_to_date
        self._has_event_stream = bool(settings.EVENTS_URL)
        self._event_stream_fingerprint = event_stream_fingerprint()
        self.budget = EvaluationRateLimit(settings.EVALUATION_RATE_LIMIT)
        self.not_modified = NotModifiedCache(cache)

    def answer(self, environ: Environ, path: str) -> Response | None:
        """The response; None for a path that the protocol does not have. `path` is the request's, decoded.

        Raises a database error where something is not cached and the database is away.
        """
        route = BULK_ROUTE if path == BULK_PATH else find_route(path)
        if route is None:
            if belongs_to_protocol(path):
                return EvaluationRefused(404, None, NOTHING_THERE).response(None, UNKNOWN_ROUTE)
            return None
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return 204, [ALLOW], b"", route.name
        if method != "POST":
            return EvaluationRefused(405, None, "Send a POST.", ALLOW).response(route.flag_key, route.name)
        try:
            caller = authenticate(environ, self._access_keys)
            if COUNTED not in environ:
                self.budget.spend(caller)
                environ[COUNTED] = True
            if route.flag_key is None:
                return self._evaluate_all(environ, route, caller)
            return self._evaluate_one(environ, route, route.flag_key, caller)
        except EvaluationRefused as refused:
            return refused.response(route.flag_key, route.name)

    def _evaluate_one(self, environ: Environ, route: Route, flag_key: str, caller: Caller) -> Response:
        context = parse_context(read_body(environ))
        after_event = AFTER_EVENT in environ.get("QUERY_STRING", "")
        snapshot, definitions = self._find(route, caller, context, after_event=after_event)
        targeting_key, environment = text_of(context, "targetingKey"), text_of(context, "environment")
        states = snapshot.states
        if caller.role is CLIENT:
            definitions, states = definitions.for_clients(states)
        try:
            rules = definitions.compiled_flags(states, environment)[flag_key]
        except FlagNotFound as error:
            raise EvaluationRefused(404, "FLAG_NOT_FOUND", error.detail) from None
        usage_counter.count(snapshot.organization_id, flag_key, environment)
        resolution = rules.decide(snapshot, targeting_key, targeting_key.encode(), context)
        return STATUS_OF_ERROR[resolution.error], (JSON,), resolution.json, route.name

    def _evaluate_all(self, environ: Environ, route: Route, caller: Caller) -> Response:
        body = read_body(environ)
        after_event = AFTER_EVENT in environ.get("QUERY_STRING", "")
        sent_tag = environ.get("HTTP_IF_NONE_MATCH")
        if sent_tag is not None and not after_event:
            same = self.not_modified.find(route.path, sent_tag, body, caller)
            if same is not None:
                usage_counter.count_all(same, same.environment)  # an answer of 304 is an evaluation as well
                return 304, (("ETag", sent_tag), NO_CACHE), b"", route.name
        context = parse_context(body)
        snapshot, definitions = self._find(route, caller, context, after_event=after_event)
        targeting_key, environment = text_of(context, "targetingKey"), text_of(context, "environment")
        states = snapshot.states  # read once, so that the tag is that of the answer
        if caller.role is CLIENT:
            definitions, states = definitions.for_clients(states)
        usage_counter.count_all(snapshot, environment)
        fingerprints = definitions.fingerprint + states.fingerprint + self._event_stream_fingerprint
        fingerprints += definitions.read_attributes(context)
        tag = entity_tag(fingerprints, snapshot, caller, targeting_key, environment)
        if sent_tag is not None and matches(sent_tag, tag):
            if sent_tag == tag:
                made_from = definitions.fingerprint, states.fingerprint, ref(snapshot)
                counted_as = snapshot.organization_id, environment
                self.not_modified.keep(tag, NotModifiedEntry(route.path, body, caller, *made_from, *counted_as))
            return 304, (("ETag", tag), NO_CACHE), b"", route.name
        bulk = definitions.compiled_flags(states, environment).bulk
        entries = bulk.entries(snapshot, targeting_key, targeting_key.encode(), context)
        streams = event_streams(snapshot.organization_id, caller.name) if self._has_event_stream else b""
        body = bulk_body(entries, snapshot.organization_id, streams)
        return 200, (JSON, ("ETag", tag), NO_CACHE), body, route.name

    def _find(
        self, route: Route, caller: Caller, context: Context, *, after_event: bool
    ) -> tuple[OrganizationSnapshot, DefinitionSet]:
        """The organization and the definitions; after an event with all that is committed, as the event comes once."""
        is_up_to_date = not after_event or self._is_up_to_date()
        definitions = self._cache.definitions()  # before the snapshot, which then has what their rules read
        snapshot = snapshot_for(self._cache, caller, route.organization, context)
        if is_up_to_date:
            return snapshot, definitions
        return self._cache.refresh(snapshot)
