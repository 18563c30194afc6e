"""The nested-set columns, computed from the parent links: for an import and for a repair.

Trees of any size are kept in arrays of machine integers, some 60 bytes for an organization. An organization is known
by its position in them; positions are in the order that siblings have, or are to have.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db import connection

ROOT = -1
"""In place of a parent's position: it has none."""
ASTRAY = -2
"""In place of a parent's position: it has one, which is not among the organizations read."""
BLOCK = 10_000
"""Rows that are formatted or parsed at a time."""


def _integers(size: int = 0, value: int = 0) -> array[int]:
    return array("i", [value]) * size


@dataclass(slots=True)
class Columns:
    """The columns that django-mptt keeps, by position."""

    tree_id: array[int] = field(default_factory=_integers)
    lft: array[int] = field(default_factory=_integers)
    rght: array[int] = field(default_factory=_integers)
    level: array[int] = field(default_factory=_integers)

    def of(self, position: int) -> tuple[int, int, int, int]:
        """One organization's columns."""
        return self.tree_id[position], self.lft[position], self.rght[position], self.level[position]


@dataclass(slots=True)
class Forest:
    """Organizations, each with its parent's position (or ROOT or ASTRAY) and the columns that it has now.

    `references` tells which organization it is; what the numbers mean is the reader's matter. The columns of one
    that does not exist yet are 0.
    """

    references: array[int]
    parents: array[int]
    columns: Columns

    def __len__(self) -> int:
        return len(self.parents)


@dataclass(slots=True)
class Numbered:
    """The columns as they should be, and the positions depth-first, parents before children.

    Positions that are missing in `order` cannot be reached from any root; their columns are 0. `cut_cycles` first,
    and none is missing.
    """

    columns: Columns
    order: array[int]


def read_forest(query: str) -> Forest:
    """Read a forest by a query that gives six integers a row, in the order of positions.

    They are the reference, the parent's position, tree_id, lft, rght and level.
    """
    references, parents, columns = array("q"), _integers(), Columns()
    targets = (references, parents, columns.tree_id, columns.lft, columns.rght, columns.level)
    with connection.chunked_cursor() as cursor:  # on the server: the rows come in blocks
        cursor.execute(query)
        while rows := cursor.fetchmany(BLOCK):
            for target, numbers in zip(targets, zip(*rows, strict=True), strict=True):
                target.extend(numbers)
    return Forest(references, parents, columns)


def number(forest: Forest, *, next_tree_id: int) -> Numbered:
    """Compute the columns from the parents. A root keeps its tree_id unless it has none or one before it has it."""
    first_child, next_sibling = _children(forest.parents)
    parents, count = forest.parents, len(forest)
    columns = Columns(_integers(count), _integers(count), _integers(count), _integers(count))
    tree_ids, lfts, rghts, levels = columns.tree_id, columns.lft, columns.rght, columns.level
    order, taken = _integers(), {0}
    edge = level = tree_id = 0
    position = first_child[ROOT]
    while position >= 0:
        if level == 0:
            edge, tree_id = 0, forest.columns.tree_id[position]
            if tree_id in taken:
                tree_id, next_tree_id = next_tree_id, next_tree_id + 1
            taken.add(tree_id)
        edge += 1
        tree_ids[position], lfts[position], levels[position] = tree_id, edge, level
        order.append(position)
        if first_child[position] >= 0:
            position = first_child[position]
            level += 1
            continue
        while position >= 0:  # close it, and each parent of which it was the last child
            edge += 1
            rghts[position] = edge
            if next_sibling[position] >= 0:
                position = next_sibling[position]
                break
            position = parents[position]
            level -= 1
    return Numbered(columns, order)


def cycles(forest: Forest) -> Iterator[list[int]]:
    """Each circle of parents, once: positions, every one the child of the next, the last the child of the first."""
    fresh, on_the_way, done = 0, 1, 2
    state = bytearray(len(forest))
    for start in range(len(forest)):
        way: list[int] = []
        position = start
        while position >= 0 and state[position] == fresh:
            state[position] = on_the_way
            way.append(position)
            position = forest.parents[position]
        if position >= 0 and state[position] == on_the_way:
            yield way[way.index(position) :]
        for passed in way:
            state[passed] = done


def cut_cycles(forest: Forest) -> list[int]:
    """Make a root of one position of each circle of parents, that with the lowest number; returns those.

    So what cannot be reached from a root has trees of its own, instead of numbers in somebody else's.
    """
    cut = [min(cycle) for cycle in cycles(forest)]
    for position in cut:
        forest.parents[position] = ROOT
    return cut


def copy_in(statement: str, rows: Iterable[str]) -> None:
    """Send rows in COPY's text format, each without its line's end."""
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        remaining = iter(rows)
        while block := list(islice(remaining, BLOCK)):
            copy.write("\n".join(block) + "\n")


def copy_row(*values: int | str) -> str:
    """A row for `copy_in`; texts must have neither backslashes but their own escapes, nor tabs and line breaks."""
    return "\t".join(map(str, values))


CREATE_CHANGES = """
CREATE TEMPORARY TABLE tree_columns (id bigint, tree_id int, lft int, rght int, level int) ON COMMIT DROP
"""
WRITE_CHANGES = """
UPDATE orgs_organization organization  -- under the tree lock: nobody else writes more than one row of it at a time
   SET tree_id = changed.tree_id, lft = changed.lft, rght = changed.rght, level = changed.level
  FROM tree_columns changed
 WHERE organization.id = changed.id
"""


def write_changed(forest: Forest, numbered: Numbered) -> int:
    """Write the columns of the organizations for which they differ; returns how many.

    References are ids of organizations here; those that are not positive are passed over. The caller's transaction
    holds the tree lock.
    """
    before, after = forest.columns, numbered.columns
    changed = array(
        "i",
        (
            position
            for position in numbered.order
            if forest.references[position] > 0 and before.of(position) != after.of(position)
        ),
    )
    if not changed:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(CREATE_CHANGES)
        rows = (copy_row(forest.references[position], *after.of(position)) for position in changed)
        copy_in("COPY tree_columns FROM STDIN", rows)
        cursor.execute("ANALYZE tree_columns")
        cursor.execute(WRITE_CHANGES)
        cursor.execute("DROP TABLE tree_columns")
    return len(changed)


def next_tree_id() -> int:
    """A number above every tree's; the caller's transaction holds the tree lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(tree_id), 0) + 1 FROM orgs_organization")
        return int(cursor.fetchone()[0])


def _children(parents: array[int]) -> tuple[array[int], array[int]]:
    """First child and next sibling of each position, -1 for none; the last two first children are of ROOT's, ASTRAY's.

    That is where Python's negative indexes find them.
    """
    first_child, next_sibling = _integers(len(parents) + 2, -1), _integers(len(parents), -1)
    for position in range(len(parents) - 1, -1, -1):
        parent = parents[position]
        next_sibling[position] = first_child[parent]
        first_child[parent] = position
    return first_child, next_sibling
