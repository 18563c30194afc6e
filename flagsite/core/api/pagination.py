"""Pages by cursor: a page begins after (or ends before) a row's place, so that rows that come and go move nothing."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

MOST = 1000
"""Rows that a page has at most."""
CURSOR = re.compile(r"(after|before):(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: after or before the row whose ordering column has this value."""

    value: int
    backwards: bool = False

    def __str__(self) -> str:
        text = f"{'before' if self.backwards else 'after'}:{self.value}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class KeysetPagination(BasePagination):
    """Pages of a queryset that is ordered by one unique whole-number column, up or down."""

    parameter_names = ("cursor", "pageSize")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request asks for. Raises ValidationError."""
        (order,) = queryset.query.order_by
        self.column, descending = str(order).lstrip("-"), str(order).startswith("-")
        self.url = request.build_absolute_uri()
        self.cursor, size = _cursor(request), _page_size(request)
        backwards = self.cursor is not None and self.cursor.backwards
        if self.cursor is not None:
            side = "lt" if descending != backwards else "gt"
            queryset = queryset.filter(**{f"{self.column}__{side}": self.cursor.value})
        rows = list((queryset.reverse() if backwards else queryset)[: size + 1])
        self.more = len(rows) > size
        self.rows = rows[:size][::-1] if backwards else rows[:size]
        return self.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self._next(), "previous": self._previous()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        example = f"https://flags.example.com/…?cursor={Cursor(50)}"
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": schema,
                "next": link | {"description": "The next page; null on the last.", "example": example},
                "previous": link | {"description": "The page before; null on the first.", "example": None},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = "Where the page begins: taken from `next` or `previous`, of no meaning otherwise."
        size = {"type": "integer", "minimum": 1, "maximum": MOST, "default": settings.PAGE_SIZE}
        return [
            {"name": "cursor", "in": "query", "description": cursor, "schema": {"type": "string"}},
            {"name": "pageSize", "in": "query", "description": "Rows on a page.", "schema": size},
        ]

    def _next(self) -> str | None:
        came_back = self.cursor is not None and self.cursor.backwards
        return self._link(Cursor(self._place(-1))) if self.rows and (self.more or came_back) else None

    def _previous(self) -> str | None:
        came_back = self.cursor is not None and self.cursor.backwards
        before = self.more if came_back else self.cursor is not None
        return self._link(Cursor(self._place(0), backwards=True)) if self.rows and before else None

    def _place(self, index: int) -> int:
        return int(getattr(self.rows[index], self.column))

    def _link(self, cursor: Cursor) -> str:
        return replace_query_param(self.url, "cursor", str(cursor))


def _cursor(request: Request) -> Cursor | None:
    given = request.query_params.get("cursor")
    if given is None:
        return None
    try:
        text = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    match = CURSOR.fullmatch(text)
    if match is None or int(match[2]) >= 2**63:
        raise ValidationError({"cursor": ["This is no cursor of ours; take it from next or previous."]})
    return Cursor(int(match[2]), backwards=match[1] == "before")


def _page_size(request: Request) -> int:
    given = request.query_params.get("pageSize")
    if given is None:
        return int(settings.PAGE_SIZE)
    if not re.fullmatch(r"[1-9][0-9]{0,3}", given) or int(given) > MOST:
        raise ValidationError({"pageSize": [f"Not a whole number from 1 to {MOST}."]})
    return int(given)
