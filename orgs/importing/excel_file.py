"""Reading of an Excel workbook (.xlsx): the rows of its first sheet as lists of texts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from typing import BinaryIO

from orgs.errors import ImportRefused
from orgs.importing import excel_sheet

SIGNATURE = b"PK\x03\x04"


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
    """Yield the rows of the first sheet that are not empty, each with its number in the sheet.

    Another process reads the workbook, because a hostile workbook can end the process that reads it (`excel_sheet`).

    Raises ImportRefused if the file is no workbook, or if the process needs too much memory or time.
    """
    with TemporaryFile() as workbook:
        shutil.copyfileobj(file, workbook)
        workbook.seek(0)
        command = [sys.executable, "-P", excel_sheet.__file__]
        with Popen(command, stdin=workbook, stdout=PIPE, stderr=DEVNULL, text=True) as reader:
            try:
                for line in reader.stdout or ():
                    number, cells = json.loads(line)
                    yield number, [cell if isinstance(cell, str) else BadCell(*cell) for cell in cells]
                status = reader.wait()
            finally:
                reader.kill()
    if status < 0 or status == excel_sheet.TOO_LARGE:
        raise ImportRefused(
            "The workbook is too large, or a cell is far to the right or far below. Save the sheet as a CSV file in "
            "UTF-8, and import this file."
        )
    if status:
        raise ImportRefused(
            "The file is an archive, but Flagsite cannot read it as an Excel workbook (.xlsx). Open it in Excel, save "
            "it as “CSV UTF-8”, and import this file."
        )
