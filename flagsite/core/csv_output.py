"""CSV files that open safely in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

SIGNS = r"=+@＝＋－＠\-"
FORMULA = re.compile(rf"^(?=[{SIGNS}\t\r\n])|(?<=[;\t\r\n])(?=[{SIGNS}])")
"""Where a formula begins. In many countries, spreadsheets also begin a cell after each semicolon."""
CELL = "\x1f"
SUSPECT = re.compile(rf"[;\t\r\n{CELL}][{SIGNS}\t\r\n]")
"""What the texts of a row have, with CELL before each, if one of them may have a formula. It is a quick first look."""


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield a CSV file with a header, line by line, in UTF-8 for Excel.

    A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    written = csv.writer(_Echo())
    yield "\ufeff" + written.writerow(columns)  # the line that _Echo returns
    for row in rows:
        values = list(row)
        texts = CELL.join(["", *[value for value in values if isinstance(value, str)]])
        yield written.writerow([harmless(value) for value in values] if SUSPECT.search(texts) else values)


def harmless(value: Any) -> Any:
    """Return the value so that no spreadsheet runs it as a formula."""
    return FORMULA.sub("'", value) if isinstance(value, str) else value


class _Echo:
    """A file whose `write` returns the text, so that `csv.writer` returns each line."""

    def write(self, text: str) -> str:
        return text
