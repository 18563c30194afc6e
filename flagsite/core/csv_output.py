"""CSV files that open safely in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

FIRST_CHARACTERS_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet runs a text that begins with one of these as a formula."""


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield a CSV file with a header, line by line, in UTF-8 for Excel.

    A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    written = csv.writer(_Echo())
    yield "\ufeff" + written.writerow(columns)  # the line that _Echo returns
    for row in rows:
        yield written.writerow([harmless(value) for value in row])


def harmless(value: Any) -> Any:
    """Return the value so that no spreadsheet runs it as a formula."""
    if isinstance(value, str) and value.startswith(FIRST_CHARACTERS_OF_FORMULAS):
        return f"'{value}"
    return value


class _Echo:
    """A file whose `write` returns the text, so that `csv.writer` returns each line."""

    def write(self, text: str) -> str:
        return text
