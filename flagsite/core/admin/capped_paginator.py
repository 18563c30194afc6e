"""Pages of a list that may be long: it is counted up to a point, since counting a million rows takes a while."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import F, Value
from django.utils.functional import cached_property

MOST_COUNTED = 10_000
FEW = 2_000
"""Rows that are found and sorted faster than the newest fifty are met among a million others."""


class CappedPaginator(Paginator):
    """Counts no more than MOST_COUNTED rows; the list says so, and whoever looks for more narrows it by a filter."""

    template_name = "admin/orgs/capped_pagination.html"
    most_counted = MOST_COUNTED

    @cached_property
    def counted(self) -> int:
        """The number of rows, MOST_COUNTED + 1 for all numbers above."""
        rows: Any = self.object_list
        return int(rows.order_by()[: self.most_counted + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self.counted, self.most_counted)

    def page(self, number: int | str) -> Page[Any]:
        """As Django's; where few rows match, they are found first and sorted then.

        Asked for the first rows by id, PostgreSQL likes to walk the primary key until it has met enough of them,
        which may be the whole table. An order by an expression leaves it no such choice.
        """
        rows: Any = self.object_list
        if self.counted <= FEW and set(rows.query.order_by) == {"-id"}:
            self.object_list = rows.order_by((F("id") + Value(0)).desc())
        return super().page(number)

    @property
    def count_in_words(self) -> str:
        """The number of rows, as far as they were counted."""
        return f"{'more than ' if self.counted > self.most_counted else ''}{self.count:,}"
