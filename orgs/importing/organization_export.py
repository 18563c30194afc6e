"""The export of organizations as a CSV file that an import reads: parents first, with their own attributes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import Any, TextIO

from flagsite.core.db.snapshot import snapshot
from flagsite.core.db.streamed_rows import streamed
from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, find_visible_organization
from orgs.importing.attribute_columns import BOOLEAN, LIST, NUMBER, TEXT, cell_of, column_name
from orgs.importing.options import COLUMNS
from orgs.tree.subtrees import Subtree, in_tree_order, is_in_subtree

BLOCK_ROWS = 2_000
JSON_TYPES = {"string": TEXT, "number": NUMBER, "boolean": BOOLEAN, "array": LIST}
"""The type of a column by the type of the values in JSON; null stands in any column."""
NAMES = """
SELECT DISTINCT attribute.name, jsonb_typeof(attribute.value)
  FROM orgs_organizationattribute attribute
  JOIN orgs_organization organization ON organization.id = organization_id
 WHERE {where} ORDER BY 1, 2
"""
ROWS = """
SELECT organization.key, organization.name, CASE WHEN {is_top} THEN '' ELSE COALESCE(parent.key, '') END,
       (SELECT jsonb_object_agg(name, value)::text FROM orgs_organizationattribute
         WHERE organization_id = organization.id)
  FROM orgs_organization organization
  LEFT JOIN orgs_organization parent ON parent.id = organization.parent_id
 WHERE {where} ORDER BY {order}
"""


def exported_blocks(caller: Caller, below: OrganizationName | None = None) -> Iterator[str]:
    """Yield a file, in blocks, with what a caller may see of the organizations, or of one and everything below it.

    All of it is of one moment. Nothing is read before the first block is asked for. Raises OrganizationNotFound,
    OrganizationAmbiguous.
    """
    with snapshot():
        named = below if below is not None else caller.organization_id
        top = None if named is None else find_visible_organization(caller, named).subtree
        rows = _rows(top)
        while block := list(islice(rows, BLOCK_ROWS)):
            text = StringIO()
            csv.writer(text, lineterminator="\n").writerows(block)
            yield text.getvalue()


def export_organizations(file: TextIO, *, below: Subtree | None = None) -> int:
    """Write all organizations to a file, or those of a subtree, whose top then has no parent. Returns their number.

    Call it inside a snapshot. An import of the file with the option `below` puts a subtree below another organization.
    """
    written = csv.writer(file, lineterminator="\n")
    count = -1  # the first row has the names of the columns
    for row in _rows(below):
        written.writerow(row)
        count += 1
    return count


def _rows(below: Subtree | None) -> Iterator[list[str]]:
    """Yield the names of the columns, and then a row for each organization."""
    where = is_in_subtree("organization") if below else "TRUE"
    parameters = below.parameters() if below else {}
    columns = _attribute_columns(where, parameters)
    yield [*COLUMNS, *(column_name(*column) for column in columns)]
    is_top = "organization.id = %(top)s" if below else "FALSE"
    top = {"top": below.organization_id} if below else {}
    statement = ROWS.format(is_top=is_top, where=where, order=in_tree_order("organization"))
    for key, name, parent_key, attributes in streamed(statement, parameters | top):
        values = json.loads(attributes) if attributes else {}
        yield [key, name, parent_key, *_cells(values, columns)]


def _attribute_columns(where: str, parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the names and types of the columns. A name that has nothing but nulls gets a column of texts."""
    found = list(streamed(NAMES.format(where=where), parameters))
    typed = [(name, JSON_TYPES[type_]) for name, type_ in found if type_ != "null"]
    names = {name for name, _ in typed}
    return sorted([*typed, *((name, TEXT) for name, type_ in found if type_ == "null" and name not in names)])


def _cells(values: dict[str, Any], columns: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the cells of one organization. A null stands in the first column of its name."""
    former = ""
    for name, type_ in columns:
        value = values.get(name)
        is_here = name in values and (name != former if value is None else type_ == _type_of(value))
        yield cell_of(value) if is_here else ""
        former = name


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    return TEXT if isinstance(value, str) else LIST if isinstance(value, list) else NUMBER
