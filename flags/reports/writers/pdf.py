"""A report as a PDF that a person reads, and a picture of its first page. Typst sets the pages from `report.typ`.

The data reach the template as JSON, so that no text of a customer is ever a part of the template. The template can read
no file: its root is an empty folder. It imports no package, so Typst opens no connection.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import fontpkg_noto_sans
import typst

from flags.reports.figures import NUMBERS, CellType, Chart, Figures, Heading, Row, Table, in_words

TEMPLATE = Path(__file__).parent / "report.typ"
FONTS = Path(fontpkg_noto_sans.__file__).parent / "files"
MAX_ROWS = 2_000
"""Rows of all tables together. A PDF with more is too long to read, and Typst needs much memory for it."""
MAX_ROWS_OF_TABLE = 400
"""Rows of each table but the last, which has the details and gets what is left."""
PREVIEW_ROWS = 12
PICTURE_PPI = 100.0
LONGEST_CELL = 600
ZERO_WIDTH_SPACE = "\u200b"
LONG_WORD = re.compile(r"\S{11,}")
AFTER_SIGN = re.compile(r"([._/:@-])(?=\S)")
LONG_PART = re.compile(rf"[^\s{ZERO_WIDTH_SPACE}]{{11,}}")


def write_pdf(heading: Heading, figures: Figures) -> bytes:
    """Return the PDF."""
    return _compiled(_document(heading, figures, _limited(figures.tables)), "pdf", heading)


def first_page(heading: Heading, figures: Figures) -> bytes:
    """Return a picture of the first page, as PNG. The rows of tables that are not in memory stay for the writer."""
    tables = [_table(table, table.rows[:PREVIEW_ROWS]) for table in figures.tables if isinstance(table.rows, list)]
    document = _document(heading, figures, tables[:1]) | {"isPicture": True}
    return _compiled(document, "png", heading)


def _document(heading: Heading, figures: Figures, tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": heading.title,
        "period": heading.period,
        "organization": breakable(heading.organization),
        "madeAt": f"{heading.made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "isEmpty": figures.is_empty,
        "isPicture": False,
        "figures": [
            {"title": figure.title, "value": in_words(figure.value, figure.type), "note": figure.note}
            for figure in figures.key_figures
        ],
        "charts": [_chart(chart) for chart in figures.charts if not chart.is_empty],
        "tables": list(tables),
        "notes": list(figures.notes),
    }


def _limited(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the tables with MAX_ROWS rows at most."""
    remaining = MAX_ROWS
    limited = []
    for table in tables:
        most = remaining if table is tables[-1] else min(remaining, MAX_ROWS_OF_TABLE)
        limited.append(_table(table, list(islice(table.rows, most))))
        remaining -= len(limited[-1]["rows"])
    return limited


def _table(table: Table, rows: Sequence[Row]) -> dict[str, Any]:
    types = [column.type for column in table.columns]
    return {
        "title": table.title,
        "note": table.note,
        "empty": table.empty,
        "more": f"and {table.count - len(rows):,} more" if table.count > len(rows) else "",
        "columns": [
            {"title": column.title, "isNumber": column.type in NUMBERS, "width": column.width}
            for column in table.columns
        ],
        "rows": [[_cell(value, type_) for value, type_ in zip(row, types, strict=True)] for row in rows],
    }


def _cell(value: Any, type_: CellType) -> str:
    if type_ == CellType.TIME and value is not None:
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    text = in_words(value, type_)
    if type_ != CellType.TEXT:
        return text
    return breakable(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]} …")


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "isOverTime": chart.is_over_time,
        "labels": [breakable(label) for label in chart.labels],
        "totals": [in_words(total, chart.type) for total in chart.sums],
        "sums": chart.sums,
        "full": 1.0 if chart.type == CellType.SHARE else max(chart.sums),
        "series": [{"title": one.title, "colour": one.colour, "values": list(one.values)} for one in chart.series],
    }


def breakable(text: str) -> str:
    """Return the text with places in long words where a line may end, so that no cell is wider than its column.

    A line ends after a sign such as a dot if there is one, and else after some letters.
    """
    return LONG_WORD.sub(lambda word: LONG_PART.sub(_cut, AFTER_SIGN.sub(rf"\1{ZERO_WIDTH_SPACE}", word[0])), text)


def _cut(part: re.Match[str]) -> str:
    return re.sub(r"(.{6})(?=.{3})", rf"\1{ZERO_WIDTH_SPACE}", part[0])


@functools.cache
def _fonts() -> Any:
    """The font of the reports. For other scripts, Typst takes the fonts of the machine."""
    return typst.Fonts(include_system_fonts=True, font_paths=[str(FONTS)])


def _compiled(document: dict[str, Any], format_: Literal["pdf", "png"], heading: Heading) -> bytes:
    with TemporaryDirectory(prefix="flagsite-report-") as empty:
        compiler = typst.Compiler(
            TEMPLATE.read_bytes(),
            root=empty,
            font_paths=_fonts(),
            sys_inputs={"data": json.dumps(document)},
            package_path=empty,
            package_cache_path=empty,
        )
        pages = compiler.compile(
            format=format_, ppi=PICTURE_PPI, timestamp=heading.made_at.astimezone(UTC).replace(microsecond=0)
        )
    first = pages[0] if isinstance(pages, list) else pages
    return first or b""
