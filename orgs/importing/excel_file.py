"""Reading of an Excel workbook (.xlsx): the rows of its first sheet as lists of texts."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineSheet, load_workbook

from orgs.errors import ImportRefused

SIGNATURE = b"PK\x03\x04"
MAX_UNPACKED_BYTES = 512 * 2**20
"""A workbook is a compressed archive. A larger one would need too much memory."""
MAX_EXACT_DIGITS = 15
"""Excel keeps this many digits of a number, and changes the others to zeros."""
BLOCK_BYTES = 1 << 20
ERROR_CELL = re.compile(rb'<c\b(?=[^>]*\bt="e")[^>]*\br="([A-Z]{1,3})([0-9]{1,7})"')
LONGEST_TAG = 200
FIRST_SHEET = re.compile(rb'<(?:\w+:)?sheet\b[^>]*?\br?:?id="([^"]+)"', re.IGNORECASE)


class BadCell(str):
    """The text of a cell that must not be imported, because Excel has changed it or has no value for it."""

    __slots__ = ("problem",)
    problem: str

    def __new__(cls, text: str, problem: str) -> BadCell:
        """Create the text with its problem."""
        cell = super().__new__(cls, text)
        cell.problem = problem
        return cell


def is_workbook(first_bytes: bytes) -> bool:
    """Return whether a file with these first bytes is an archive, as a workbook is."""
    return first_bytes.startswith(SIGNATURE)


def rows(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first sheet, each with its number in the sheet. Raises ImportRefused if it is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise ImportRefused(
                    f"The workbook has more than {MAX_UNPACKED_BYTES // 2**20} MB of content. Save the sheet as a CSV "
                    "file in UTF-8, and import this file."
                )
            errors = _error_cells(archive)
        file.seek(0)
        sheet: CalamineSheet = load_workbook(file).get_sheet_by_index(0)
        cells = sheet.iter_rows()
    except (CalamineError, zipfile.BadZipFile, KeyError, NotImplementedError) as error:
        raise ImportRefused(
            "The file is an archive, but Flagsite cannot read it as an Excel workbook (.xlsx). Open it in Excel, save "
            "it as “CSV UTF-8”, and import this file."
        ) from error
    for number, values in enumerate(cells, start=1):
        wrong = errors.get(number, frozenset())
        yield number, [_text(value, is_error=position in wrong) for position, value in enumerate(values)]


def _text(value: Any, *, is_error: bool) -> str:
    if isinstance(value, str) and not is_error:
        return value
    if is_error:
        return BadCell("#ERROR", "has an error of Excel, such as #REF! or #N/A")
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        whole = int(value)
        text = str(whole) if whole == value else repr(value)
        if abs(whole) >= 10**MAX_EXACT_DIGITS:
            return BadCell(text, f"has a number with more than {MAX_EXACT_DIGITS} digits, which Excel has rounded")
        return text
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
        return BadCell(str(value), "has a date or a time, into which Excel may have changed another text")
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
    for tag in re.findall(rb"<(?:\w+:)?Relationship\b[^>]*>", archive.read("xl/_rels/workbook.xml.rels")):
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
