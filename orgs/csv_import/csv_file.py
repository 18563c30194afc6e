"""Reading a CSV file of organizations: which rows it has, and which lines cannot be read. Knows no database."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, NamedTuple

from orgs.errors import ImportRefused, RefusedLine
from orgs.tree.models import ORGANIZATION_KEY, ORGANIZATION_KEY_PATTERN

COLUMNS = ("key", "name", "parent_key")
LONGEST = 255
"""Characters of a key or a name; as many as their columns take."""
LONGEST_LINE = 1_048_576
"""Bytes; a file with a longer line is no list of organizations, and is not read into memory to find out."""
LONGEST_SHOWN = 60
KEY = re.compile(ORGANIZATION_KEY_PATTERN)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters that no name has; tabs and line breaks may stand in a quoted one."""

LONE_CR = re.compile(rb"\r[^\n\0]")
"""A line's end of a file in which the first line has the others in it too; not one of UTF-16, which is told as such."""


class Row(NamedTuple):
    """An organization as the file has it; `line` is where its row starts, `parent_key` is empty for a root."""

    line: int
    key: str
    name: str
    parent_key: str


class Refusals:
    """The lines that cannot be imported, and why.

    All are counted; the first MOST_KEPT are kept, so that a file that is all wrong cannot fill the memory.
    """

    MOST_KEPT = 100_000

    def __init__(self) -> None:
        self.kept: list[RefusedLine] = []
        self.count = 0

    def add(self, line: int, problem: str) -> None:
        """Refuse a line."""
        self.count += 1
        if len(self.kept) < self.MOST_KEPT:
            self.kept.append(RefusedLine(line, problem))

    def raise_if_any(self) -> None:
        """Raise ImportRefused when a line was refused, the lines in the order of the file."""
        if self.count:
            raise ImportRefused(lines=sorted(self.kept), count=self.count)


def read(file: BinaryIO, refusals: Refusals, *, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[Row]:
    """Read the rows of a file in CSV and UTF-8, a byte order mark allowed; empty lines are passed over.

    What is wrong with a row is added to `refusals`. A row that is refused is yielded nevertheless when its key can be
    told, so that others may name it. `on_bytes` is told at times how many bytes were read.

    Raises ImportRefused at once where nothing after it could be read: no header, other columns, an endless line.
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


def shown(text: str) -> str:
    """The text in quotes, on one line and not too long for a message."""
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")


def _column_order(rows: Iterator[tuple[int, list[str]]]) -> tuple[int, ...]:
    line, fields = next(rows, (1, []))
    names = [field.strip() for field in fields]
    if sorted(names) != sorted(COLUMNS):
        found = shown(",".join(names)) if names else "nothing"
        problem = f"The first line has to name the columns {', '.join(COLUMNS)} and no others; it has {found}."
        raise ImportRefused(lines=[RefusedLine(line, problem)], count=1)
    return tuple(names.index(column) for column in COLUMNS)


def _checked(line: int, key: str, name: str, parent_key: str, refusals: Refusals) -> Row | None:
    """The row as it is to be stored; None when its key is of no use."""
    name = name.strip()
    if name.isprintable() and 0 < len(name) <= LONGEST and _is_key(key) and (not parent_key or _is_key(parent_key)):
        return Row(line, key, name, parent_key)
    problems = [problem for problem in (_of_key(key), _of_name(name), _of_parent_key(parent_key)) if problem]
    if problems:
        refusals.add(line, " ".join(problems))
        if _of_key(key):
            return None
        parent_key = "" if _of_parent_key(parent_key) else parent_key
        name = ""
    return Row(line, key, name, parent_key)


def _is_key(key: str) -> bool:
    return len(key) <= LONGEST and KEY.fullmatch(key) is not None


def _of_key(key: str) -> str | None:
    if not key.strip():
        return "The key is empty."
    if len(key) > LONGEST:
        return f"The key has {len(key)} characters, more than {LONGEST}."
    return None if KEY.fullmatch(key) else f"The key {shown(key)} is none: {ORGANIZATION_KEY.message}"


def _of_name(name: str) -> str | None:
    if not name:
        return "The name is empty."
    if len(name) > LONGEST:
        return f"The name has {len(name)} characters, more than {LONGEST}."
    return f"The name {shown(name)} has control characters." if CONTROL.search(name) else None


def _of_parent_key(key: str) -> str | None:
    if not key:
        return None
    return None if _is_key(key) else f"The parent_key {shown(key)} is no key."


def _rows(file: BinaryIO, refusals: Refusals, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """The file's rows that are not empty, each with the physical line that it starts on."""
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
    """Decode line by line; one that is not UTF-8 is refused, and read as far as possible for its quotes and key."""
    read = 0
    for number, raw in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), start=1):
        read += len(raw)
        if number == 1 and LONE_CR.search(raw):
            problem = "Its lines end with CR alone; they have to end with LF or CRLF."
            raise ImportRefused(lines=[RefusedLine(number, problem)], count=1)
        if number % 1000 == 0:
            on_bytes(read)
        if len(raw) > LONGEST_LINE:
            problem = f"The line has more than {LONGEST_LINE:,} bytes."
            raise ImportRefused(lines=[RefusedLine(number, problem)], count=1)
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            refusals.add(number, f"Byte {error.start + 1} of the line is not UTF-8.")
            yield raw.decode(errors="replace")
    on_bytes(read)
