"""The columns of a file that have attributes of organizations, and the values in their cells.

A column `attribute:plan` has texts. `attribute:seats:number`, `:boolean` and `:list` have other types. An attribute may
have a column of each type, of which a row fills one. The cell `\\N` is null, and an empty cell is no own attribute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from orgs.attributes.attribute_rules import MAX_ATTRIBUTES, check_name, check_value
from orgs.errors import InvalidAttribute
from orgs.importing.excel_file import BadCell
from orgs.importing.refusals import quoted, refuse_file

PREFIX = "attribute:"
TEXT, NUMBER, BOOLEAN, LIST = "text", "number", "boolean", "list"
TYPES = (TEXT, NUMBER, BOOLEAN, LIST)
NULL = "\\N"
"""The cell that ends what comes from above."""
ESCAPE = "\\"
"""A text that begins with it, or has spaces around it, has one more of it in front in its cell."""


class AttributeColumn(NamedTuple):
    """A column: its position in the file, the name of the attribute, and the type of the values."""

    position: int
    name: str
    type: str


class CellProblem(Exception):
    """A cell has no valid value; the text says why."""


def columns_of(line: int, header: Sequence[str]) -> list[AttributeColumn]:
    """Return the columns with attributes in the header. Raises ImportRefused if one of them is not valid."""
    found = []
    for position, field in enumerate(header):
        if field.startswith(PREFIX):
            name, _, type_ = field.removeprefix(PREFIX).partition(":")
            try:
                check_name(name)
            except InvalidAttribute as error:
                raise refuse_file(line, f"The column {quoted(field)} is not valid. {error.detail}") from error
            if (type_ or TEXT) not in TYPES:
                types = ", ".join(TYPES)
                raise refuse_file(line, f"The column {quoted(field)} has an unknown type. The types are {types}.")
            found.append(AttributeColumn(position, name, type_ or TEXT))
    twice = [column for column in found if [each[1:] for each in found].count(column[1:]) > 1]
    if twice:
        raise refuse_file(line, f"The attribute {twice[0].name} has two columns with the type {twice[0].type}.")
    if len({column.name for column in found}) > MAX_ATTRIBUTES:
        raise refuse_file(line, f"The file has columns for more than {MAX_ATTRIBUTES} attributes.")
    return found


def attributes_in(fields: Sequence[str], columns: Sequence[AttributeColumn]) -> str:
    """Return the attributes of a row as JSON: for each name a list with the value, or an empty list without one.

    Raises CellProblem.
    """
    values: dict[str, list[Any]] = {column.name: [] for column in columns}
    for position, name, type_ in columns:
        cell = fields[position]
        if isinstance(cell, BadCell):
            raise CellProblem(f"The cell of the attribute {name} {cell.problem}. Format the column as text in Excel.")
        if not cell.strip():
            continue
        if values[name]:
            raise CellProblem(f"The attribute {name} has two values.")
        is_escaped = type_ == TEXT and cell.startswith(ESCAPE) and cell != NULL
        value = _value(name, type_, cell if is_escaped else cell.strip())
        try:
            check_value(name, value)
        except InvalidAttribute as error:
            raise CellProblem(error.detail) from error
        values[name] = [value]
    return json.dumps(values, ensure_ascii=False)


def cell_of(value: Any) -> str:
    """Return the cell that stands for a value."""
    if value is None:
        return NULL
    if isinstance(value, str):
        return ESCAPE + value if value.startswith(ESCAPE) or value != value.strip() else value
    return json.dumps(value, ensure_ascii=False)


def column_name(name: str, type_: str) -> str:
    """Return the name of the column with the values of an attribute that have this type."""
    return f"{PREFIX}{name}" if type_ == TEXT else f"{PREFIX}{name}:{type_}"


def _value(name: str, type_: str, cell: str) -> Any:
    if cell == NULL:
        return None
    if type_ == TEXT:
        return cell.removeprefix(ESCAPE)
    try:
        value = json.loads(cell.lower() if type_ == BOOLEAN else cell)
    except (ValueError, RecursionError):
        value = None
    is_boolean = isinstance(value, bool)
    if type_ == BOOLEAN and not is_boolean:
        raise CellProblem(f"The attribute {name} is {quoted(cell)}, and not true or false.")
    if type_ == NUMBER and (is_boolean or not isinstance(value, int | float)):
        raise CellProblem(f"The attribute {name} is {quoted(cell)}, and no number, such as 250 or 0.5.")
    if type_ == LIST and not isinstance(value, list):
        raise CellProblem(f"The attribute {name} is {quoted(cell)}, and no list of texts in JSON.")
    return value
