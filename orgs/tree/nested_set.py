"""The nested set, computed from the parent links: for an import and for a repair.

Trees of any size are kept in arrays of machine integers, some 60 bytes for an organization. An organization is known
by its position in them. Siblings have, or get, the order of their positions.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection

from flagsite.core.db.copy_in import BLOCK, copy_in, copy_row

ROOT = -1
"""In place of a parent's position: the organization is a root."""
PARENT_NOT_READ = -2
"""In place of a parent's position: the parent is not among the organizations that were read."""


def _integers(size: int = 0, value: int = 0) -> array[int]:
    return array("i", [value]) * size


@dataclass(slots=True)
class Columns:
    """The columns of the nested set, by position."""

    tree_id: array[int] = field(default_factory=_integers)
    lft: array[int] = field(default_factory=_integers)
    rght: array[int] = field(default_factory=_integers)
    level: array[int] = field(default_factory=_integers)

    def of(self, position: int) -> tuple[int, int, int, int]:
        """One organization's columns."""
        return self.tree_id[position], self.lft[position], self.rght[position], self.level[position]


@dataclass(slots=True)
class LinkedOrganizations:
    """Organizations, each with its parent's position (or ROOT or PARENT_NOT_READ) and the columns that it has now.

    `references` are the numbers by which the reader of the organizations knows them. The columns of an organization
    that does not exist yet are 0.
    """

    references: array[int]
    parents: array[int]
    columns: Columns

    def __len__(self) -> int:
        return len(self.parents)


@dataclass(slots=True)
class NestedSet:
    """The columns as they should be, and the positions in depth-first order, parents before children.

    `order` lacks the positions that no root leads to. Their columns are 0. After `cut_circles` none is lacking.
    """

    columns: Columns
    order: array[int]


def read_organizations(query: str) -> LinkedOrganizations:
    """Read organizations by a query that gives six integers a row, in the order of positions.

    They are the reference, the parent's position, tree_id, lft, rght and level.
    """
    references, parents, columns = array("q"), _integers(), Columns()
    targets = (references, parents, columns.tree_id, columns.lft, columns.rght, columns.level)
    with connection.chunked_cursor() as cursor:  # on the server: the rows come in blocks
        cursor.execute(query)
        while rows := cursor.fetchmany(BLOCK):
            for target, numbers in zip(targets, zip(*rows, strict=True), strict=True):
                target.extend(numbers)
    return LinkedOrganizations(references, parents, columns)


def compute_nested_set(organizations: LinkedOrganizations, *, next_tree_id: int) -> NestedSet:
    """Compute the columns from the parents.

    A root keeps its tree_id, unless it has none or a root before it has the same.
    """
    first_child, next_sibling = _children(organizations.parents)
    parents, count = organizations.parents, len(organizations)
    columns = Columns(_integers(count), _integers(count), _integers(count), _integers(count))
    tree_ids, lfts, rghts, levels = columns.tree_id, columns.lft, columns.rght, columns.level
    order, taken = _integers(), {0}
    edge = level = tree_id = 0
    position = first_child[ROOT]
    while position >= 0:
        if level == 0:
            edge, tree_id = 0, organizations.columns.tree_id[position]
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
    return NestedSet(columns, order)


def find_circles(organizations: LinkedOrganizations) -> Iterator[list[int]]:
    """Each circle of parents, once: positions, every one the child of the next, the last the child of the first."""
    fresh, on_the_path, done = 0, 1, 2
    state = bytearray(len(organizations))
    for start in range(len(organizations)):
        path: list[int] = []
        position = start
        while position >= 0 and state[position] == fresh:
            state[position] = on_the_path
            path.append(position)
            position = organizations.parents[position]
        if position >= 0 and state[position] == on_the_path:
            yield path[path.index(position) :]
        for passed in path:
            state[passed] = done


def cut_circles(organizations: LinkedOrganizations) -> list[int]:
    """Make a root of the lowest position of each circle of parents; returns these positions.

    Organizations that no root leads to then have trees of their own, instead of numbers in a tree of others.
    """
    cut = [min(circle) for circle in find_circles(organizations)]
    for position in cut:
        organizations.parents[position] = ROOT
    return cut


CREATE_CHANGES = """
CREATE TEMPORARY TABLE tree_columns (id bigint, tree_id int, lft int, rght int, level int) ON COMMIT DROP
"""
WRITE_CHANGES = """
UPDATE orgs_organization organization  -- under the tree lock: nobody else writes more than one row of it at a time
   SET tree_id = changed.tree_id, lft = changed.lft, rght = changed.rght, level = changed.level
  FROM tree_columns changed
 WHERE organization.id = changed.id
"""


def write_changed_columns(organizations: LinkedOrganizations, nested_set: NestedSet) -> int:
    """Write the columns of the organizations for which they differ; returns how many.

    The references are ids here; organizations whose reference is not positive are passed over. The caller's
    transaction holds the tree lock.
    """
    references, before, after = organizations.references, organizations.columns, nested_set.columns
    changed = array(
        "i",
        (
            position
            for position in nested_set.order
            if references[position] > 0 and before.of(position) != after.of(position)
        ),
    )
    if not changed:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(CREATE_CHANGES)
        rows = (copy_row(references[position], *after.of(position)) for position in changed)
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
    """First child and next sibling of each position, -1 for none.

    Two first children more are at the end, of PARENT_NOT_READ and of ROOT, where these negative indexes find them.
    """
    first_child, next_sibling = _integers(len(parents) + 2, -1), _integers(len(parents), -1)
    for position in range(len(parents) - 1, -1, -1):
        parent = parents[position]
        next_sibling[position] = first_child[parent]
        first_child[parent] = position
    return first_child, next_sibling
