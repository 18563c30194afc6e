"""Idempotency-Key: the same write sent twice is carried out once, and answered the same.

1. Reserve the key in a transaction of its own; of two requests at once one wins, the other is told so.
2. Carry out the write and store its answer in one transaction: a crash loses both or neither.
3. A refusal (4xx) changed nothing; it is stored afterwards. After a 5xx the reservation is given back.
4. A reservation whose request crashed is taken over by the next one a minute later; should the first still be
   running after all, it finds that it has lost the key and rolls back.
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
REPLAYED = "Idempotent-Replayed"
ACCEPTABLE = re.compile(r"[\x21-\x7e]{1,255}")

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Reservation:
    """A key that is ours until the answer is stored; `reserved_at` tells it from a later owner's."""

    pk: int
    reserved_at: datetime


def idempotent(handler: Handler) -> Handler:
    """Make a view's method honour the header Idempotency-Key."""

    @functools.wraps(handler)
    def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        if HEADER not in request.headers:
            return handler(view, request, *args, **kwargs)
        key = request.headers[HEADER]
        if not ACCEPTABLE.fullmatch(key):
            raise ValidationError({HEADER: ["1 to 255 visible ASCII characters, without spaces."]})
        reserved = reserve(caller=view.caller.name, key=key, fingerprint=fingerprint_of(request))
        if isinstance(reserved, IdempotentRequest):
            return _replay(reserved)
        return _carry_out(reserved, view, functools.partial(handler, view, request, *args, **kwargs))

    answer.is_idempotent = True  # type: ignore[attr-defined]
    return answer


def _carry_out(reservation: Reservation, view: Any, handle: Callable[[], Response]) -> Response:
    try:
        with transaction.atomic():
            response = handle()
            store(reservation, response)
        return response
    except Exception as error:  # noqa: BLE001 - the view's own handler decides what becomes of it
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
 WHERE present.created_at < statement_timestamp() - %(forgotten)s  -- as good as deleted
    OR (present.status IS NULL AND present.fingerprint = excluded.fingerprint
        AND present.created_at < statement_timestamp() - %(crashed)s)
RETURNING id, created_at
"""


def reserve(*, caller: str, key: str, fingerprint: str) -> Reservation | IdempotentRequest:
    """Take the key for a request, or return the request that was answered under it before.

    Raises IdempotencyConflict when the key belongs to another request, IdempotentRequestRunning while the same one
    is being carried out.
    """
    parameters: dict[str, Any] = {
        "caller": caller,
        "key": key,
        "fingerprint": fingerprint,
        "forgotten": timedelta(hours=settings.IDEMPOTENCY_HOURS),
        "crashed": timedelta(minutes=1),
    }
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, parameters)
        row = cursor.fetchone()
    if row is not None:
        return Reservation(*row)
    present = IdempotentRequest.objects.filter(caller=caller, key=key).first()
    if present is not None and present.fingerprint != fingerprint:
        raise IdempotencyConflict
    if present is None or present.status is None:
        raise IdempotentRequestRunning
    return present


def store(reservation: Reservation, response: Response) -> None:
    """Keep the answer for the next time. Raises IdempotentRequestRunning when another has taken the key over."""
    headers = {name: response[name] for name in ("Location", "ETag") if name in response}
    if response.content_type:
        headers["Content-Type"] = response.content_type
    body = None if response.data is None else json.loads(JSONRenderer().render(response.data))
    if _ours(reservation).update(status=response.status_code, body=body, headers=headers) != 1:
        raise IdempotentRequestRunning


def release(reservation: Reservation) -> None:
    """Give the key back: nothing was done under it. When the database is away it is free a minute later."""
    with contextlib.suppress(DatabaseError, InterfaceError):
        _ours(reservation).delete()


def forget_old() -> int:
    """Delete what is older than IDEMPOTENCY_HOURS; returns how many."""
    past = Now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    deleted, _ = IdempotentRequest.objects.filter(created_at__lt=past).delete()
    return deleted


def fingerprint_of(request: Request) -> str:
    """SHA-256 of method, path with query string, and body."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    digest.update(request.body)  # reading it leaves it to be parsed
    return digest.hexdigest()


def _ours(reservation: Reservation) -> Any:
    return IdempotentRequest.objects.filter(pk=reservation.pk, created_at=reservation.reserved_at, status__isnull=True)


def _replay(answered: IdempotentRequest) -> Response:
    headers = {**answered.headers, REPLAYED: "true"}
    content_type = headers.pop("Content-Type", None)
    return Response(answered.body, status=answered.status, headers=headers, content_type=content_type)
