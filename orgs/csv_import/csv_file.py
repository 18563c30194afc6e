"""Parsing of a CSV file of organizations: its rows and its invalid lines, without a database."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from orgs.errors import ImportRefused, RefusedLine
from orgs.tree.models import ORGANIZATION_KEY, ORGANIZATION_KEY_PATTERN

COLUMNS = ("key", "name", "parent_key")
MAX_LENGTH = 255
"""The maximum number of characters of a key or a name, as in the database."""
MAX_LINE_BYTES = 1_048_576
"""A file with a longer line is not a list of organizations, and must not fill the memory."""
MAX_QUOTED_LENGTH = 60
KEY = re.compile(ORGANIZATION_KEY_PATTERN)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters that a name must not have. A quoted name may have tabs and line breaks."""

LONE_CR = re.compile(rb"\r[^\n\0]")
"""A line that ends with CR alone; UTF-16, which has NUL after CR, gets another error message."""


class CsvRow(NamedTuple):
    """A row of the file. `line` is the number of its first line, and `parent_key` is empty for a root."""

    line: int
    key: str
    name: str
    parent_key: str


class Refusals:
    """The lines that cannot be imported, with their problems.

    All of them are counted, but only the first MAX_KEPT are kept, so that a wrong file cannot fill the memory.
    """

    MAX_KEPT = 100_000

    def __init__(self) -> None:
        self.kept: list[RefusedLine] = []
        self.count = 0

    def add(self, line: int, problem: str) -> None:
        """Refuse a line."""
        self.count += 1
        if len(self.kept) < self.MAX_KEPT:
            self.kept.append(RefusedLine(line, problem))

    def raise_if_any(self) -> None:
        """Raise ImportRefused if a line was refused, with the lines in the order of the file."""
        if self.count:
            raise ImportRefused(lines=sorted(self.kept), count=self.count)


def read(file: BinaryIO, refusals: Refusals, *, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[CsvRow]:
    """Yield the rows of a CSV file in UTF-8, with or without a byte order mark. Empty lines are skipped.

    The problems of a row are added to `refusals`. A refused row with a valid key is yielded too, because other rows can
    name it as their parent. From time to time, `on_bytes` is called with the number of bytes that were read.

    Raises ImportRefused at once if the rest of the file cannot be read: no header, wrong columns or a too long line.
    """
    rows = _rows(file, refusals, on_bytes)
    key, name, parent_key = _column_order(rows)
    for line, fields in rows:
        if len(fields) != len(COLUMNS):
            refusals.add(line, f"It has {len(fields)} columns, not {len(COLUMNS)}.")
            continue
        row = _checked(line, fields[key], fields[name], fields[parent_key], refusals)
        if row is not None:
            yield row


def quoted(text: str) -> str:
    """Return the text in quotes, in one line and short enough for a message."""
    return repr(text if len(text) <= MAX_QUOTED_LENGTH else f"{text[:MAX_QUOTED_LENGTH]}…")


def _column_order(rows: Iterator[tuple[int, list[str]]]) -> tuple[int, ...]:
    line, fields = next(rows, (1, []))
    names = [field.strip() for field in fields]
    if sorted(names) != sorted(COLUMNS):
        header = quoted(",".join(names)) if names else "nothing"
        problem = f"The first line has to name the columns {', '.join(COLUMNS)} and no others; it has {header}."
        raise ImportRefused(lines=[RefusedLine(line, problem)], count=1)
    return tuple(names.index(column) for column in COLUMNS)


def _checked(line: int, key: str, name: str, parent_key: str, refusals: Refusals) -> CsvRow | None:
    """Return the row as it is to be stored, or None if its key is not valid."""
    name = name.strip()
    if name.isprintable() and 0 < len(name) <= MAX_LENGTH and _is_key(key) and (not parent_key or _is_key(parent_key)):
        return CsvRow(line, key, name, parent_key)
    problems = [
        problem for problem in (_key_problem(key), _name_problem(name), _parent_key_problem(parent_key)) if problem
    ]
    if problems:
        refusals.add(line, " ".join(problems))
        if _key_problem(key):
            return None
        parent_key = "" if _parent_key_problem(parent_key) else parent_key
        name = ""
    return CsvRow(line, key, name, parent_key)


def _is_key(key: str) -> bool:
    return len(key) <= MAX_LENGTH and KEY.fullmatch(key) is not None


def _key_problem(key: str) -> str | None:
    if not key.strip():
        return "The key is empty."
    if len(key) > MAX_LENGTH:
        return f"The key has {len(key)} characters, more than {MAX_LENGTH}."
    return None if KEY.fullmatch(key) else f"The key {quoted(key)} is not valid: {ORGANIZATION_KEY.message}"


def _name_problem(name: str) -> str | None:
    if not name:
        return "The name is empty."
    if len(name) > MAX_LENGTH:
        return f"The name has {len(name)} characters, more than {MAX_LENGTH}."
    return f"The name {quoted(name)} has control characters." if CONTROL.search(name) else None


def _parent_key_problem(key: str) -> str | None:
    if not key:
        return None
    return None if _is_key(key) else f"The parent_key {quoted(key)} is not a valid key."


def _rows(file: BinaryIO, refusals: Refusals, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its first line in the file."""
    reader = csv.reader(_lines(file, refusals, on_bytes), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            refusals.add(line, f"It is not CSV: {error}.")
        else:
            return


def _lines(file: BinaryIO, refusals: Refusals, on_bytes: Callable[[int], None]) -> Iterator[str]:
    """Decode the file line by line. A line that is not UTF-8 is refused, but still yielded for its quotes and key."""
    read = 0
    for number, raw in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), start=1):
        read += len(raw)
        if number == 1 and LONE_CR.search(raw):
            problem = "Its lines end with CR alone; they have to end with LF or CRLF."
            raise ImportRefused(lines=[RefusedLine(number, problem)], count=1)
        if number % 1000 == 0:
            on_bytes(read)
        if len(raw) > MAX_LINE_BYTES:
            problem = f"The line has more than {MAX_LINE_BYTES:,} bytes."
            raise ImportRefused(lines=[RefusedLine(number, problem)], count=1)
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            refusals.add(number, f"Byte {error.start + 1} of the line is not UTF-8.")
            yield raw.decode(errors="replace")
    on_bytes(read)
