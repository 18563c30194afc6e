"""Keyset pagination: a cursor names the row after or before the page, so new and deleted rows do not shift pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from flagsite.core.ids import MAX_ID

MAX_PAGE_SIZE = 1000
"""The maximum number of rows on a page."""
CURSOR = re.compile(r"(after|before)-(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: after or before the row with this value in the ordering column."""

    value: int
    backwards: bool = False

    def __str__(self) -> str:
        return f"{'before' if self.backwards else 'after'}-{self.value}"


class KeysetPagination(BasePagination):
    """Pages of a queryset that is ordered by one unique integer column, ascending or descending."""

    parameter_names: tuple[str, ...] = ("cursor", "pageSize")
    max_page_size = MAX_PAGE_SIZE
    default_page_size: int | None = None
    """The number of rows on a page without `pageSize`; None: the setting PAGE_SIZE."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the requested page. Raises ValidationError."""
        (order,) = queryset.query.order_by
        self.column, descending = str(order).lstrip("-"), str(order).startswith("-")
        self.url = request.build_absolute_uri()
        self.cursor, size = _cursor(request), self._page_size(request)
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
        link = {"type": ["string", "null"], "format": "uri"}
        example = f"https://flags.example.com/…?cursor={Cursor(50)}"
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": schema,
                "next": link | {"description": "The next page; null on the last page.", "example": example},
                "previous": link | {"description": "The previous page; null on the first page.", "example": None},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = "The position of the page. Take it from `next` or `previous`; its content has no other meaning."
        position = {"type": "string", "pattern": f"^{CURSOR.pattern}$"}
        default = self.default_page_size or settings.PAGE_SIZE
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": default}
        return [
            {"name": "cursor", "in": "query", "description": cursor, "schema": position},
            {"name": "pageSize", "in": "query", "description": "Rows on a page.", "schema": size},
        ]

    def _page_size(self, request: Request) -> int:
        page_size = request.query_params.get("pageSize")
        if page_size is None:
            return int(self.default_page_size or settings.PAGE_SIZE)
        if not re.fullmatch(r"[1-9][0-9]{0,5}", page_size) or int(page_size) > self.max_page_size:
            raise ValidationError({"pageSize": [f"Not a whole number from 1 to {self.max_page_size}."]})
        return int(page_size)

    def _next(self) -> str | None:
        came_back = self.cursor is not None and self.cursor.backwards
        return self._link(Cursor(self._cursor_value(-1))) if self.rows and (self.more or came_back) else None

    def _previous(self) -> str | None:
        came_back = self.cursor is not None and self.cursor.backwards
        before = self.more if came_back else self.cursor is not None
        return self._link(Cursor(self._cursor_value(0), backwards=True)) if self.rows and before else None

    def _cursor_value(self, index: int) -> int:
        return int(getattr(self.rows[index], self.column))

    def _link(self, cursor: Cursor) -> str:
        return replace_query_param(self.url, "cursor", str(cursor))


class WholeList(KeysetPagination):
    """A short list in one answer, in the form of a page. `pageSize` is accepted and has no effect."""

    parameter_names = ("pageSize",)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return all rows. Raises ValidationError for a wrong `pageSize`."""
        self._page_size(request)
        return list(queryset)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": None, "previous": None})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri", "description": "Always null.", "example": None}
        properties = {"results": schema, "next": link, "previous": link}
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []


def _cursor(request: Request) -> Cursor | None:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise ValidationError({"cursor": ["This is not a valid cursor; take it from next or previous."]})
    return Cursor(min(int(match[2]), MAX_ID), backwards=match[1] == "before")
