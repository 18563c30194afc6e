"""A report as CSV: one file for each table, in UTF-8, with the names of the columns for programs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from flags.reports.figures import CellType, Column, Row, Table
from flagsite.core.csv_output import csv_lines

Converter = Callable[[Any], Any]


def write(table: Table, file: BinaryIO) -> None:
    """Write a table. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    text.writelines(csv_lines([column.name for column in table.columns], _cells(table)))
    text.flush()
    text.detach()


def _cells(table: Table) -> Iterator[Row]:
    converters = _converters(table.columns)
    for row in table.rows:
        cells = list(row)
        for place, convert in converters:
            if cells[place] is not None:
                cells[place] = convert(cells[place])
        yield cells


def _converters(columns: Sequence[Column]) -> list[tuple[int, Converter]]:
    """Return the places of the columns whose values `csv` would not write as programs expect, with a function each."""
    functions: dict[CellType, Converter] = {
        CellType.TIME: _time,
        CellType.SHARE: _rounded,
        CellType.SECONDS: _rounded,
    }
    return [(place, functions[column.type]) for place, column in enumerate(columns) if column.type in functions]


def _rounded(value: float) -> float:
    return round(value, 6)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
