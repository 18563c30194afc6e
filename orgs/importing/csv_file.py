"""Reading of a CSV file: its rows as lists of texts, and its lines that cannot be read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from orgs.importing.options import ImportOptions
from orgs.importing.refusals import Refusals, refuse_file

MAX_LINE_LENGTH = 1_048_576
"""A file with a longer line, in bytes or characters, is not a list of organizations, and must not fill the memory."""
LONE_CR = re.compile(rb"\r[^\n\0]")
"""A line that ends with CR alone; UTF-16, which has NUL after CR, gets another error message."""
LINES_BETWEEN_PROGRESS = 1_000


def rows(
    file: BinaryIO, options: ImportOptions, refusals: Refusals, on_bytes: Callable[[int], None]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows, each with the number of its first line. Lines that are not CSV or not text are refused.

    Raises ImportRefused at once if the rest of the file cannot be read. From time to time, `on_bytes` is called with
    the number of bytes that were read.
    """
    if options.encoding.startswith("utf-16"):
        lines = _lines_of_wide_characters(file, options.encoding, on_bytes)
    else:
        lines = _lines(file, options.encoding, refusals, on_bytes)
    reader = csv.reader(lines, delimiter=options.delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            for fields in reader:
                yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            refusals.add(line, f"It is not CSV: {error}.")
        else:
            return


def _lines(file: BinaryIO, encoding: str, refusals: Refusals, on_bytes: Callable[[int], None]) -> Iterator[str]:
    """Decode the file line by line. A line that is not text is refused, but still yielded for its quotes and key."""
    read = 0
    for number, raw in enumerate(iter(partial(file.readline, MAX_LINE_LENGTH + 1), b""), start=1):
        read += len(raw)
        if number == 1 and LONE_CR.search(raw):
            raise refuse_file(number, "Its lines end with CR alone; they have to end with LF or CRLF.")
        if number % LINES_BETWEEN_PROGRESS == 0:
            on_bytes(read)
        _refuse_long(number, len(raw), "bytes")
        name = "utf-8-sig" if number == 1 and encoding == "utf-8" else encoding
        try:
            yield raw.decode(name)
        except UnicodeDecodeError as error:
            refusals.add(number, f"Byte {error.start + 1} of the line is not {_shown(encoding)}.")
            yield raw.decode(encoding, errors="replace")
    on_bytes(read)


def _lines_of_wide_characters(file: BinaryIO, encoding: str, on_bytes: Callable[[int], None]) -> Iterator[str]:
    """Decode a file in an encoding whose line ends are not single bytes. The first wrong character ends the file."""
    text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
    number = 0
    try:
        for number, line in enumerate(iter(partial(text.readline, MAX_LINE_LENGTH + 1), ""), start=1):
            _refuse_long(number, len(line), "characters")
            if number % LINES_BETWEEN_PROGRESS == 0:
                on_bytes(file.tell())
            yield line.removeprefix("\ufeff") if number == 1 else line
        on_bytes(file.tell())
    except UnicodeError:
        raise refuse_file(number + 1, f"From here on, the file is not {_shown(encoding)}.") from None
    finally:
        text.detach()


def _refuse_long(number: int, length: int, unit: str) -> None:
    if length > MAX_LINE_LENGTH:
        raise refuse_file(number, f"The line has more than {MAX_LINE_LENGTH:,} {unit}.")


def _shown(encoding: str) -> str:
    return encoding.upper() if encoding.startswith("utf") else encoding
