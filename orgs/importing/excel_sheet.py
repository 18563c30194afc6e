"""The program that reads the first sheet of an Excel workbook (.xlsx) in a process of its own.

A few bytes of a workbook can ask for any amount of memory and time: a cell in the last column of the last row, a count
of texts, a compressed archive. The library that reads the sheet ends its process if there is not enough memory. So
`orgs.importing.excel_file` starts this program with the workbook as its input. The program limits its own memory and
time, and writes each row that is not empty as a line of JSON: its number and its cells. A cell is a text, or a list
of a text and the problem because of which it must not be imported.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import math
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from python_calamine import CalamineSheet, load_workbook

MAX_UNPACKED_BYTES = 512 * 2**20
"""A workbook is a compressed archive. A larger one would need too much memory."""
MAX_ADDRESS_SPACE_BYTES = 2**30
MAX_SECONDS = 120
"""Of processor time. A workbook with a million rows needs about ten."""
TOO_LARGE = 3
"""The exit status if there is not enough memory."""
MAX_EXACT_DIGITS = 15
"""Excel keeps this many digits of a number, and changes the others to zeros."""
BLOCK_BYTES = 1 << 20
ERROR_CELL = re.compile(rb'<c\b(?=[^<>]*\bt="e")[^<>]*\br="([A-Z]{1,3})([0-9]{1,7})"')
LONGEST_TAG = 200
FIRST_SHEET = re.compile(rb'<(?:\w+:)?sheet\b[^<>]*?\br?:?id="([^"]+)"', re.IGNORECASE)

Cell = str | list[str]


def main() -> int:
    """Write the rows of the workbook in the standard input. Returns TOO_LARGE or 0; raises if it is no workbook."""
    _limit(resource.RLIMIT_AS, MAX_ADDRESS_SPACE_BYTES)
    _limit(resource.RLIMIT_CPU, MAX_SECONDS)
    _limit(resource.RLIMIT_CORE, 0)
    try:
        for number, cells in _rows(io.BytesIO(sys.stdin.buffer.read())):
            if any(cells):
                sys.stdout.write(json.dumps([number, cells]) + "\n")
    except MemoryError:
        return TOO_LARGE
    return 0


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    with contextlib.suppress(ValueError, OSError):  # macOS does not know all limits
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _rows(file: io.BytesIO) -> Iterator[tuple[int, list[Cell]]]:
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
            raise MemoryError
        errors = _error_cells(archive)
    file.seek(0)
    sheet: CalamineSheet = load_workbook(file).get_sheet_by_index(0)
    for number, values in enumerate(sheet.iter_rows(), start=1):
        wrong = errors.get(number, frozenset())
        yield number, [_cell(value, is_error=position in wrong) for position, value in enumerate(values)]


def _cell(value: Any, *, is_error: bool) -> Cell:
    if is_error:
        return ["#ERROR", "has an error of Excel, such as #REF! or #N/A"]
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            return [str(value), "has a number that does not exist in Excel"]
        whole = int(value)
        text = str(whole) if whole == value else repr(value)
        if abs(whole) >= 10**MAX_EXACT_DIGITS:
            return [text, f"has a number with more than {MAX_EXACT_DIGITS} digits, which Excel has rounded"]
        return text
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
        return [str(value), "has a date or a time, into which Excel may have changed another text"]
    return str(value)


def _error_cells(archive: zipfile.ZipFile) -> dict[int, frozenset[int]]:
    """Return the columns of the cells with an error, by row. The library that reads the sheet shows them as empty."""
    found: dict[int, frozenset[int]] = {}
    rest = b""
    with archive.open(_first_sheet(archive)) as sheet:
        while block := sheet.read(BLOCK_BYTES):
            text = rest + block
            for column, row in ERROR_CELL.findall(text):
                found[int(row)] = found.get(int(row), frozenset()) | {_column_number(column)}
            rest = text[-LONGEST_TAG:]
    return found


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Return the name of the archive's member with the first sheet. Raises KeyError if there is none."""
    sheet = FIRST_SHEET.search(archive.read("xl/workbook.xml"))
    for tag in re.findall(rb"<(?:\w+:)?Relationship\b[^<>]*>", archive.read("xl/_rels/workbook.xml.rels")):
        identifier, target = re.search(rb'\bId="([^"]+)"', tag), re.search(rb'\bTarget="([^"]+)"', tag)
        if sheet and identifier and target and identifier[1] == sheet[1]:
            name = target[1].decode()
            return name.lstrip("/") if name.startswith("/") else str(PurePosixPath("xl") / name)
    raise KeyError("The workbook has no sheet.")


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1


if __name__ == "__main__":
    sys.exit(main())
