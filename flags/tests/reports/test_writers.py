"""Each format has the same values, opens safely, and stays within its limits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from flags.reports.figures import CellType, Chart, Column, Figures, Heading, KeyFigure, Series, Table, in_words
from flags.reports.report_job import FileFormat, files_of
from flags.reports.writers import csv_files, json_file, pdf, workbook

MADE_AT = datetime(2026, 12, 1, 4, 0, 7, 5, tzinfo=UTC)
HEADING = Heading(
    "usage", "Usage of flags", date(2026, 11, 1), date(2026, 11, 30), "1–30 November 2026", 7, "Oslo (no-03)", MADE_AT,
    "usage-2026-11-organization-7",
)  # fmt: skip
COLUMNS = [
    Column("flag", "Flag"),
    Column("day", "Day", CellType.DAY),
    Column("at", "At", CellType.TIME),
    Column("count", "Count", CellType.COUNT),
    Column("share", "Share", CellType.SHARE),
]
HOSTILE = [
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "+4",
    "\tx",
    "\r=1",
    'a";=2',
    "#eval(1) *b* $x$ \\ \" ' <b>",
    "=HYPERLINK(1)",
    "日本",
]
ROWS = [(text, date(2026, 11, 3), MADE_AT, 1234, 0.25) for text in HOSTILE]
ROWS.append(("", None, None, None, None))


def table(rows: Any = ROWS, count: int | None = None) -> Table:
    return Table("flags", "Flags", COLUMNS, rows, len(rows) if count is None else count, "A note.")


def figures(*tables: Table) -> Figures:
    chart = Chart("Days", ["2026-11-01", "2026-11-02"], [Series("One", "#2563eb", [1, 0])], is_over_time=True)
    bars = Chart("Share", ["a", "b"], [Series("On", "#15803d", [0.5, 0.0])], CellType.SHARE)
    share = KeyFigure("share", "Share", 0.5, CellType.SHARE)
    return Figures([KeyFigure("evaluations", "Evaluations", 5), share], [chart, bars], list(tables), ["A sentence."])


def written(write: Any, *arguments: Any) -> bytes:
    content = io.BytesIO()
    write(*arguments, content)
    return content.getvalue()


def test_csv_has_plain_values_and_no_formula() -> None:
    text = written(csv_files.write, table()).decode("utf-8-sig")
    head, *rows = list(csv.reader(io.StringIO(text, newline="")))
    assert head == ["flag", "day", "at", "count", "share"]
    assert rows[0] == ["'=1+1", "2026-11-03", "2026-12-01T04:00:07.000005Z", "1234", "0.25"]
    assert rows[-1] == ["", "", "", "", ""]
    for row in rows[:-1]:
        assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_workbook_has_texts_and_numbers_and_no_formula() -> None:
    content = written(workbook.write, HEADING, figures(table()))
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names == ["Summary", "Flags"]
    head, *rows = book.get_sheet_by_name("Flags").to_python()
    assert head == ["Flag", "Day", "At", "Count", "Share"]
    assert [row[0] for row in rows[: len(HOSTILE)]] == [text.replace("\r", "\r") for text in HOSTILE]
    assert rows[0][1:] == [date(2026, 11, 3), datetime(2026, 12, 1, 4, 0, 7), 1234, 0.25]  # noqa: DTZ001 - a cell
    summary = [row[:2] for row in book.get_sheet_by_name("Summary").to_python()]
    assert ["Organizations", "Oslo (no-03)"] in summary
    assert ["Evaluations", 5] in summary
    assert b"<f>" not in content


def test_a_long_table_goes_on_in_another_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 4)
    book = CalamineWorkbook.from_filelike(io.BytesIO(written(workbook.write, HEADING, figures(table(ROWS[:5])))))
    assert book.sheet_names == ["Summary", "Flags", "Flags 2"]
    assert [len(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names[1:]] == [5, 2]


def test_json_has_the_names_of_the_columns() -> None:
    document = json.loads(written(json_file.write, HEADING, figures(table(), replace(table([]), name="none"))))
    assert document["figures"] == {"evaluations": 5, "share": 0.5}
    assert (document["from"], document["organizationId"]) == ("2026-11-01", 7)
    assert document["tables"]["flags"][0] == {
        "flag": "=1+1", "day": "2026-11-03", "at": "2026-12-01T04:00:07.000005Z", "count": 1234, "share": 0.25
    }  # fmt: skip
    assert document["tables"]["none"] == []


def test_no_text_is_a_part_of_the_template() -> None:
    content = pdf.write_pdf(replace(HEADING, title="#panic() *x*", organization=HOSTILE[7]), figures(table()))
    assert content.startswith(b"%PDF-")


def test_the_picture_leaves_the_rows_of_a_stream_to_the_writer() -> None:
    stream: Iterator[Any] = iter(ROWS)
    picture = pdf.first_page(HEADING, figures(table(stream, len(ROWS))))
    assert picture.startswith(b"\x89PNG")
    assert next(stream) == ROWS[0]


def test_a_pdf_has_a_limited_number_of_rows_and_says_how_many_more_there_are() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield ROWS[0]

    first, last = pdf._limited([table(ROWS * 100), table(endless(), 1_000_000)])
    assert (len(first["rows"]), first["more"]) == (pdf.MAX_ROWS_OF_TABLE, "and 700 more")
    assert len(first["rows"]) + len(last["rows"]) == pdf.MAX_ROWS
    assert last["more"] == "and 998,400 more"


def test_long_words_have_places_where_a_line_may_end() -> None:
    text = pdf.breakable("short " + "x" * 100)
    assert text.startswith("short x")
    assert max(map(len, text.replace(" ", pdf.ZERO_WIDTH_SPACE).split(pdf.ZERO_WIDTH_SPACE))) <= 8
    assert text.replace(pdf.ZERO_WIDTH_SPACE, "") == "short " + "x" * 100
    assert pdf.breakable("access_key.create").split(pdf.ZERO_WIDTH_SPACE) == ["access_", "key.", "create"]
    assert pdf.breakable("organization.move").endswith(f"zation.{pdf.ZERO_WIDTH_SPACE}move")


@pytest.mark.parametrize("format_", list(FileFormat))
def test_each_format_has_its_files_and_a_picture(format_: FileFormat) -> None:
    files = list(files_of(HEADING, figures(table(), replace(table(), name="days")), format_))
    names = ["first-page.png"]
    names += (
        [f"{HEADING.slug}-flags.csv", f"{HEADING.slug}-days.csv"]
        if format_ == FileFormat.CSV
        else [f"{HEADING.slug}.{format_}"]
    )
    assert [file.name for file in files] == names


@pytest.mark.parametrize(
    ("value", "type_", "words"),
    [
        (None, CellType.COUNT, "–"),
        (1234567, CellType.COUNT, "1,234,567"),
        (1234567, CellType.NUMBER, "1234567"),
        (0.1234, CellType.SHARE, "12.3 %"),
        (0.0123, CellType.SECONDS, "12 ms"),
        (3.44, CellType.SECONDS, "3.4 s"),
        (125, CellType.SECONDS, "2 min 5 s"),
        (4200, CellType.SECONDS, "1 h 10 min"),
    ],
)
def test_values_have_words_for_people(value: Any, type_: CellType, words: str) -> None:
    assert in_words(value, type_).replace("\N{NO-BREAK SPACE}", " ") == words
