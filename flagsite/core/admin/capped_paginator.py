"""A paginator for long lists, which stops counting at a maximum: counting a million rows takes too long."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import F, Value
from django.utils.functional import cached_property

MAX_COUNTED_ROWS = 10_000
MAX_ROWS_TO_SORT_FIRST = 2_000
"""Up to this number of matching rows, finding and sorting all of them is faster than walking the primary key."""


class CappedPaginator(Paginator):
    """A paginator that counts and shows `max_counted_rows` rows at most; a person finds other rows with a filter."""

    template_name = "admin/orgs/capped_pagination.html"
    max_counted_rows = MAX_COUNTED_ROWS

    @cached_property
    def counted_rows(self) -> int:
        """The number of rows, or `max_counted_rows` + 1 if there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[: self.max_counted_rows + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self.counted_rows, self.max_counted_rows)

    def page(self, number: int | str) -> Page[Any]:
        """Return the page. If few rows match, PostgreSQL has to find them first and sort them then.

        For a query of the first rows by id, PostgreSQL often walks the primary key until it has enough matching rows.
        It may walk the whole table. Ordering by an expression prevents this plan.
        """
        rows: Any = self.object_list
        if self.counted_rows <= MAX_ROWS_TO_SORT_FIRST and set(rows.query.order_by) == {"-id"}:
            self.object_list = rows.order_by((F("id") + Value(0)).desc())
        return super().page(number)

    @property
    def count_in_words(self) -> str:
        """The number of rows for people, such as "12" or "more than 10,000"."""
        return f"{'more than ' if self.counted_rows > self.max_counted_rows else ''}{self.count:,}"
