"""A report as an Excel workbook: a sheet with the key figures, and a sheet for each table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from itertools import islice
from typing import Any, BinaryIO

import xlsxwriter

from flags.reports.figures import NUMBERS, CellType, Column, Figures, Heading, KeyFigure, Row, Table

MAX_ROWS = 1_048_575
"""Rows of a sheet below its heads. A longer table goes on in another sheet."""
FORMATS = {
    CellType.NUMBER: "0",
    CellType.COUNT: "#,##0",
    CellType.SHARE: "0.0%",
    CellType.SECONDS: "#,##0.000",
    CellType.DAY: "yyyy-mm-dd",
    CellType.TIME: "yyyy-mm-dd hh:mm:ss",
}
WIDTHS = {
    CellType.TEXT: 16,
    CellType.NUMBER: 13,
    CellType.COUNT: 13,
    CellType.SHARE: 13,
    CellType.SECONDS: 13,
    CellType.DAY: 12,
    CellType.TIME: 20,
}
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
"""A text stays a text, whatever it begins with, and memory holds one row."""


def write(heading: Heading, figures: Figures, file: BinaryIO) -> None:
    """Write the workbook. Times are in UTC, because a spreadsheet knows no offsets."""
    book = xlsxwriter.Workbook(file, OPTIONS)
    book.set_properties(
        {"title": heading.title, "subject": heading.period, "created": heading.made_at.replace(tzinfo=None)}
    )
    writer = _Writer(book)
    writer.add_summary(heading, figures)
    for table in figures.tables:
        writer.add_table(table)
    book.close()


class _Writer:
    """Adds sheets to a workbook."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._bold = book.add_format({"bold": True})
        self._title = book.add_format({"bold": True, "font_size": 16})
        self._head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._formats = {type_: book.add_format({"num_format": code}) for type_, code in FORMATS.items()}
        self._formats |= {
            type_: book.add_format({"num_format": FORMATS[type_], "align": "left"})
            for type_ in (CellType.DAY, CellType.TIME)
        }

    def add_summary(self, heading: Heading, figures: Figures) -> None:
        """Add the first sheet, with what the report is about and the key figures."""
        sheet = self._book.add_worksheet("Summary")
        sheet.set_column(0, 0, 36)
        sheet.set_column(1, 1, 40)
        sheet.write_string(0, 0, heading.title, self._title)
        facts = [
            ("Period (UTC)", heading.period),
            ("Organizations", heading.organization),
            ("Made at (UTC)", f"{heading.made_at.astimezone(UTC):%Y-%m-%d %H:%M}"),
        ]
        for number, (name, value) in enumerate(facts, 1):
            sheet.write_string(number, 0, name)
            sheet.write_string(number, 1, value)
        for number, figure in enumerate(figures.key_figures, len(facts) + 2):
            self._write_figure(sheet, number, figure)
        for number, note in enumerate(figures.notes, len(facts) + len(figures.key_figures) + 3):
            sheet.write_string(number, 0, note)

    def _write_figure(self, sheet: Any, row: int, figure: KeyFigure) -> None:
        sheet.write_string(row, 0, figure.title, self._bold)
        if figure.value is None:
            sheet.write_string(row, 1, "–")
        else:
            sheet.write_number(
                row, 1, figure.value, self._book.add_format({"num_format": FORMATS[figure.type], "align": "left"})
            )

    def add_table(self, table: Table) -> None:
        """Add the sheet of a table, or several sheets if it has more rows than a sheet."""
        rows = iter(table.rows)
        number, is_full = 1, True
        while is_full:
            name = table.title if number == 1 else f"{table.title} {number}"
            is_full = self._add_sheet(name, table, islice(rows, MAX_ROWS)) == MAX_ROWS
            number += 1

    def _add_sheet(self, name: str, table: Table, rows: Iterator[Row]) -> int:
        sheet = self._book.add_worksheet(name[:31])
        for place, column in enumerate(table.columns):
            sheet.set_column(place, place, _width(column))
        for place, column in enumerate(table.columns):
            sheet.write_string(0, place, column.title, self._head)
        sheet.freeze_panes(1, 0)
        types = [(place, column.type, self._formats.get(column.type)) for place, column in enumerate(table.columns)]
        count = 0
        for count, row in enumerate(rows, 1):
            _write_row(sheet, count, row, types)
        sheet.autofilter(0, 0, max(count, 1), len(table.columns) - 1)
        return count


def _write_row(sheet: Any, number: int, row: Row, types: list[tuple[int, CellType, Any]]) -> None:
    for place, type_, format_ in types:
        value = row[place]
        if value is None or value == "":
            continue
        if type_ in NUMBERS:
            sheet.write_number(number, place, value, format_)
        elif type_ == CellType.TIME:
            sheet.write_datetime(number, place, value.astimezone(UTC).replace(tzinfo=None), format_)
        elif type_ == CellType.DAY:
            sheet.write_datetime(number, place, value, format_)
        else:
            sheet.write_string(number, place, value)


def _width(column: Column) -> float:
    return WIDTHS[column.type] * (max(column.width, 1) if column.type == CellType.TEXT else 1)
