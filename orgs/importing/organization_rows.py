"""The rows of a file as organizations: which columns they have, and which rows are not valid, without a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from orgs.importing import csv_file, excel_file
from orgs.importing.attribute_columns import AttributeColumn, CellProblem, attributes_in, columns_of
from orgs.importing.excel_file import BadCell
from orgs.importing.options import COLUMNS, ImportOptions
from orgs.importing.refusals import Refusals, quoted, refuse_file
from orgs.tree.models import ORGANIZATION_KEY, ORGANIZATION_KEY_PATTERN

MAX_LENGTH = 255
"""The maximum number of characters of a key or a name, as in the database."""
KEY = re.compile(ORGANIZATION_KEY_PATTERN)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters that a name must not have. A quoted name may have tabs and line breaks."""


class OrganizationRow(NamedTuple):
    """A row of the file. `line` is the number of its first line, and `parent_key` is empty if the file names none.

    `attributes` is JSON (`orgs.importing.attribute_columns.attributes_in`), or empty if the file has none.
    """

    line: int
    key: str
    name: str
    parent_key: str
    attributes: str = ""


def read(
    file: BinaryIO, options: ImportOptions, refusals: Refusals, *, on_bytes: Callable[[int], None] = lambda _: None
) -> Iterator[OrganizationRow]:
    """Yield the organizations of a CSV file or of the first sheet of an Excel workbook. Rows without text are skipped.

    The problems of a row are added to `refusals`. A refused row with a valid key is yielded too, because other rows can
    name it as their parent. From time to time, `on_bytes` is called with the number of bytes that were read.

    Raises ImportRefused at once if the rest of the file cannot be read, for example because it lacks a column.
    """
    is_workbook = excel_file.is_workbook(file.read(len(excel_file.SIGNATURE)))
    file.seek(0)
    all_rows = excel_file.rows(file) if is_workbook else csv_file.rows(file, options, refusals, on_bytes)
    rows = ((line, fields) for line, fields in all_rows if any(map(str.strip, fields)))
    line, header = next(rows, (1, []))
    key, name, parent_key = _positions(line, header, options)
    attribute_columns = columns_of(line, [field.strip() for field in header])
    width, prefix = len(header), options.key_prefix
    for line, fields in rows:
        if len(fields) != width and (len(fields) < width or any(fields[width:])):
            refusals.add(line, f"It has {len(fields)} columns, not {width}.")
            continue
        cells = fields[key], fields[name], fields[parent_key]
        if is_workbook and any(isinstance(cell, BadCell) for cell in cells):
            _refuse_bad_cells(line, cells, options, refusals)
            continue
        if prefix:
            cells = (cells[0] and prefix + cells[0], cells[1], cells[2] and prefix + cells[2])
        row = _checked(line, *cells, refusals)
        if row is not None:
            yield _with_attributes(row, fields, attribute_columns, refusals) if attribute_columns else row


def _with_attributes(
    row: OrganizationRow, fields: list[str], columns: list[AttributeColumn], refusals: Refusals
) -> OrganizationRow:
    """Return the row with its attributes, or refuse it, and return it without them."""
    try:
        return row._replace(attributes=attributes_in(fields, columns))
    except CellProblem as problem:
        refusals.add(row.line, str(problem))
        return row._replace(attributes="{}")


def _positions(line: int, header: list[str], options: ImportOptions) -> tuple[int, ...]:
    """Return the positions of COLUMNS in the file. Raises ImportRefused if the header lacks one or has one twice."""
    names = [field.strip() for field in header]
    wanted = [options.columns[column] for column in COLUMNS]
    wrong = [name for name in wanted if names.count(name) != 1]
    if wrong:
        shown = quoted(options.delimiter.join(names)) if names else "nothing"
        raise refuse_file(line, f"The first line has to name the columns {', '.join(wanted)}; it has {shown}.")
    return tuple(names.index(name) for name in wanted)


def _refuse_bad_cells(line: int, cells: tuple[str, ...], options: ImportOptions, refusals: Refusals) -> None:
    for column, cell in zip(COLUMNS, cells, strict=True):
        if isinstance(cell, BadCell):
            refusals.add(
                line,
                f"The cell of the column {options.columns[column]} {cell.problem}. Format the column as text in "
                "Excel, and write the value again.",
            )


def _checked(line: int, key: str, name: str, parent_key: str, refusals: Refusals) -> OrganizationRow | None:
    """Return the row as it is to be stored, or None if its key is not valid."""
    name = name.strip()
    if name.isprintable() and 0 < len(name) <= MAX_LENGTH and _is_key(key) and (not parent_key or _is_key(parent_key)):
        return OrganizationRow(line, key, name, parent_key)
    problems = [
        problem for problem in (_key_problem(key), _name_problem(name), _parent_key_problem(parent_key)) if problem
    ]
    if problems:
        refusals.add(line, " ".join(problems))
        if _key_problem(key):
            return None
        parent_key = "" if _parent_key_problem(parent_key) else parent_key
        name = ""
    return OrganizationRow(line, key, name, parent_key)


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
