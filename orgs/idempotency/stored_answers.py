"""The header Idempotency-Key: a write that is sent twice is carried out once, and both answers are the same.

1. Reserve the key in a transaction of its own. If two requests arrive at once, one gets the key and the other is
   refused.
2. Carry out the write and store its answer in one transaction, so that a crash loses both or neither.
3. Store a refusal (4xx) afterwards, because it has changed nothing. Release the reservation after a 5xx.
4. If a request has crashed, the next request takes over its reservation one minute later. If the first request is still
   running, it finds that it has lost the key, and rolls back.

The protocol follows draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import is_server_error

from orgs.errors import IdempotencyConflict, IdempotentRequestRunning
from orgs.idempotency.models import IdempotentRequest

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
DECISIVE_HEADERS = ("If-Match", "If-None-Match", "X-Reason")
"""The headers, besides those of the access key and of the body's format, that change what a write does."""
VALID_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Reservation:
    """A key that belongs to one request until its answer is stored; `reserved_at` differs for a later owner."""

    pk: int
    reserved_at: datetime


def idempotent(handler: Handler) -> Handler:
    """Decorate a view's method so that it supports the header Idempotency-Key."""

    @functools.wraps(handler)
    def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        if HEADER not in request.headers:
            return handler(view, request, *args, **kwargs)
        key = request.headers[HEADER]
        if not VALID_KEY.fullmatch(key):
            raise ValidationError({HEADER: ["1 to 255 visible ASCII characters, without spaces."]})
        reserved = reserve(caller=view.caller.name, key=key, fingerprint=fingerprint_of(view, request))
        if isinstance(reserved, IdempotentRequest):
            return _replay(reserved)
        return _carry_out(reserved, view, functools.partial(handler, view, request, *args, **kwargs))

    answer.is_idempotent = True  # type: ignore[attr-defined]
    return answer


def shown_once(response: Response, *fields: str) -> Response:
    """Mark fields of an answer that must not be stored, such as a secret. A repeated answer has null in their place."""
    response.shown_once = fields
    return response


def _carry_out(reservation: Reservation, view: Any, handle: Callable[[], Response]) -> Response:
    try:
        with transaction.atomic():
            response = handle()
            store(reservation, response)
        return response
    except Exception as error:  # noqa: BLE001 - the view's own handler turns it into an answer
        try:
            refusal: Response = view.handle_exception(error)
        except Exception:
            release(reservation)
            raise
        if is_server_error(refusal.status_code):
            release(reservation)
        elif not isinstance(error, IdempotentRequestRunning):
            store(reservation, refusal)
        return refusal


RESERVE = """
INSERT INTO orgs_idempotentrequest AS present (caller, key, fingerprint, headers, created_at)
VALUES (%(caller)s, %(key)s, %(fingerprint)s, '{}', statement_timestamp())
    ON CONFLICT (caller, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, headers = '{}',
       created_at = excluded.created_at
 WHERE present.created_at < statement_timestamp() - %(expired)s  -- treat it as deleted
    OR (present.status IS NULL AND present.fingerprint = excluded.fingerprint
        AND present.created_at < statement_timestamp() - %(crashed)s)
RETURNING id, created_at
"""


def reserve(*, caller: str, key: str, fingerprint: str) -> Reservation | IdempotentRequest:
    """Reserve the key for a request, or return the earlier request with this key and its stored answer.

    Raises IdempotencyConflict if the key was used for a different request, and IdempotentRequestRunning if the same
    request is still running.
    """
    parameters: dict[str, Any] = {
        "caller": caller,
        "key": key,
        "fingerprint": fingerprint,
        "expired": timedelta(hours=settings.IDEMPOTENCY_HOURS),
        "crashed": timedelta(minutes=1),
    }
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, parameters)
        row = cursor.fetchone()
    if row is not None:
        return Reservation(*row)
    stored = IdempotentRequest.objects.filter(caller=caller, key=key).first()
    if stored is not None and stored.fingerprint != fingerprint:
        raise IdempotencyConflict
    if stored is None or stored.status is None:
        raise IdempotentRequestRunning
    return stored


def store(reservation: Reservation, response: Response) -> None:
    """Store the answer. Raises IdempotentRequestRunning if another request has taken over the key."""
    headers = {name: response[name] for name in ("Location", "ETag") if name in response}
    if response.content_type:
        headers["Content-Type"] = response.content_type
    body: Any = None if response.data is None else json.loads(JSONRenderer().render(response.data))
    for field in getattr(response, "shown_once", ()):
        body[field] = None
    if _rows_of(reservation).update(status=response.status_code, body=body, headers=headers) != 1:
        raise IdempotentRequestRunning


def release(reservation: Reservation) -> None:
    """Release the key after a request that changed nothing. If this fails, the key is free one minute later."""
    with contextlib.suppress(DatabaseError, InterfaceError):
        _rows_of(reservation).delete()


def delete_expired() -> int:
    """Delete stored answers that are older than IDEMPOTENCY_HOURS, and return their number."""
    past = Now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    deleted, _ = IdempotentRequest.objects.filter(created_at__lt=past).delete()
    return deleted


def fingerprint_of(view: Any, request: Request) -> str:
    """Return the SHA-256 of everything that decides what the request does.

    This is the method, the path with query string, some headers, and the body, as the view identifies it.
    """
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    for name in DECISIVE_HEADERS:
        if name in request.headers:
            digest.update(f"{name}: {request.headers[name].strip()}\n".encode(errors="surrogateescape"))
    digest.update(view.body_to_compare(request))
    return digest.hexdigest()


def _rows_of(reservation: Reservation) -> Any:
    return IdempotentRequest.objects.filter(pk=reservation.pk, created_at=reservation.reserved_at, status__isnull=True)


def _replay(stored: IdempotentRequest) -> Response:
    headers = {**stored.headers, REPLAYED_HEADER: "true"}
    content_type = headers.pop("Content-Type", None)
    return Response(stored.body, status=stored.status, headers=headers, content_type=content_type)
