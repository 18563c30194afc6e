"""The evaluation context that a request brings, and the organization that it is evaluated for."""

from __future__ import annotations

import json
from typing import Any

import orjson

from flags.serving.evaluation_cache import EvaluationCache
from flags.serving.ofrep.protocol import Environ, EvaluationRefused
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flags.targeting.json_attributes import WrongAttributes, check_attributes, whole_number
from flagsite.core.ids import MAX_ID
from orgs.access.caller import Caller
from orgs.errors import OrganizationAmbiguous, OrganizationNotFound
from orgs.tree.references import parse_reference

LONGEST_BODY = 65_536
BODY = "flagsite.body"
"""Where a body is kept in `environ`: a request may be answered a second time."""
Context = dict[str, Any]


def read_body(environ: Environ) -> bytes:
    """The body of a request. Raises EvaluationRefused where it is longer than LONGEST_BODY."""
    body: bytes | None = environ.get(BODY)
    if body is None:
        body = environ[BODY] = environ["wsgi.input"].read(LONGEST_BODY + 1)
    if len(body) > LONGEST_BODY:
        raise EvaluationRefused(413, "PARSE_ERROR", f"The body is longer than {LONGEST_BODY} bytes.")
    return body


def parse_context(body: bytes) -> Context:
    """The context in a body. Raises EvaluationRefused where there is none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        content = _with_half_characters(body)
        if content is None:
            raise EvaluationRefused(400, "PARSE_ERROR", f"The body is not valid JSON: {error.msg}.") from None
    context = content.get("context") if isinstance(content, dict) else None
    if not isinstance(context, dict):
        raise EvaluationRefused(
            400, "INVALID_CONTEXT", 'The body must have the form {"context": {"targetingKey": "…"}}.'
        )
    try:
        check_attributes(context)
    except WrongAttributes as error:
        raise EvaluationRefused(400, "PARSE_ERROR", f"The context cannot be read: {error}") from None
    return context


def _with_half_characters(body: bytes) -> Any:
    r"""Read JSON that orjson refuses, because a text has half of a character, such as `"\ud83d"`; else None.

    Clients cut texts between the two halves of an emoji. This must not fail an evaluation that does not need the text.
    `text_of` refuses such a text where it counts.
    """
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant, parse_int=whole_number)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


def text_of(context: Context, name: str) -> str:
    """A text of the context, empty where it has none. Raises EvaluationRefused for any other value."""
    value = context.get(name, "")
    if type(value) is str:
        if not value.isascii():
            _check_characters(name, value)
        return value
    if value is None:
        return ""
    raise EvaluationRefused(400, "INVALID_CONTEXT", f"The context's {name} must be a string.")


def _check_characters(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        message = f"The context's {name} has half of a character. Send the whole text, in UTF-8."
        raise EvaluationRefused(400, "INVALID_CONTEXT", message) from None


def snapshot_for(
    cache: EvaluationCache, caller: Caller, organization: str | None, context: Context
) -> OrganizationSnapshot:
    """The organization that a request is evaluated for.

    `organization` is the reference in the path; without one the context's counts, else the caller's own. Raises
    EvaluationRefused where there is no such organization, or the caller does not see it.
    """
    named = context.get("organizationId") if organization is None else organization
    try:  # a context manager would cost as much as all the rest
        if named is None:
            snapshot = _snapshot_without_id(cache, caller, context)
        elif type(named) is int and 0 < named <= MAX_ID:
            snapshot = cache.snapshot(named)
        elif type(named) in (int, str):
            if type(named) is str:
                _check_characters("organizationId", named)
            snapshot = cache.snapshot_named(parse_reference(named), caller.organization_id)
        else:
            raise EvaluationRefused(
                400, "INVALID_CONTEXT", "The context's organizationId must be an integer or a string."
            )
    except OrganizationNotFound:
        snapshot = None
    except OrganizationAmbiguous as error:
        raise EvaluationRefused(400, "INVALID_CONTEXT", error.detail) from None
    if snapshot is None or (caller.organization_id is not None and caller.organization_id not in snapshot.ids):
        raise EvaluationRefused(400, "INVALID_CONTEXT", "There is no such organization, or it is not yours.")
    if organization is None and named is not None and "organizationKey" in context:
        _check_key(context, snapshot)
    return snapshot


def _check_key(context: Context, snapshot: OrganizationSnapshot) -> None:
    if text_of(context, "organizationKey") not in ("", snapshot.keys[-1]):
        message = "The context's organizationId and organizationKey name two organizations. Send one of them."
        raise EvaluationRefused(400, "INVALID_CONTEXT", message)


def _snapshot_without_id(cache: EvaluationCache, caller: Caller, context: Context) -> OrganizationSnapshot:
    organization_key = text_of(context, "organizationKey")
    if organization_key:
        return cache.snapshot_by_key(organization_key)
    return NO_ORGANIZATION if caller.organization_id is None else cache.snapshot(caller.organization_id)
