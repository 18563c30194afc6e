"""Computation of the nested set from the parent links, for an import and for a repair.

The organizations are kept in arrays of machine integers, with about 60 bytes for each. The position in these arrays
identifies an organization. Siblings get the order of their positions.

The nested set numbers the organizations of a tree depth-first: `lft` at the start of a subtree, `rght` at its end
(Joe Celko, "Trees and Hierarchies in SQL").
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection

from flagsite.core.db.copy_in import BLOCK_SIZE, copy_in, copy_row

ROOT = -1
"""The value instead of a parent's position if the organization is a root."""
PARENT_NOT_READ = -2
"""The value instead of a parent's position if the parent is not among the organizations that were read."""


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
        """Return tree_id, lft, rght and level of one organization."""
        return self.tree_id[position], self.lft[position], self.rght[position], self.level[position]


@dataclass(slots=True)
class LinkedOrganizations:
    """Organizations, each with its parent's position (or ROOT or PARENT_NOT_READ) and its current columns.

    `references` has the number that identifies each organization in the query. The columns of an organization that does
    not exist yet are 0.
    """

    references: array[int]
    parents: array[int]
    columns: Columns

    def __len__(self) -> int:
        return len(self.parents)


@dataclass(slots=True)
class NestedSet:
    """The computed columns, and the positions in depth-first order, parents before children.

    `order` does not have the positions of organizations without a root, and their columns are 0. After `cut_circles`
    there are no such organizations.
    """

    columns: Columns
    order: array[int]


def read_organizations(query: str) -> LinkedOrganizations:
    """Read organizations with a query that returns them in the order of their positions.

    Each row has six integers: the reference, the parent's position, tree_id, lft, rght and level.
    """
    references, parents, columns = array("q"), _integers(), Columns()
    targets = (references, parents, columns.tree_id, columns.lft, columns.rght, columns.level)
    with connection.chunked_cursor() as cursor:  # a cursor on the server: the rows come in blocks
        cursor.execute(query)
        while rows := cursor.fetchmany(BLOCK_SIZE):
            for target, numbers in zip(targets, zip(*rows, strict=True), strict=True):
                target.extend(numbers)
    return LinkedOrganizations(references, parents, columns)


def compute_nested_set(organizations: LinkedOrganizations, *, next_tree_id: int) -> NestedSet:
    """Compute the columns from the parents.

    A root keeps its tree_id, unless it has none or an earlier root has the same. Then it gets `next_tree_id`, which is
    higher than all existing ones, or a number after it.
    """
    first_child, next_sibling = _children(organizations.parents)
    parents, count = organizations.parents, len(organizations)
    columns = Columns(_integers(count), _integers(count), _integers(count), _integers(count))
    tree_ids, lfts, rghts, levels = columns.tree_id, columns.lft, columns.rght, columns.level
    order, used_tree_ids = _integers(), {0}
    edge = level = tree_id = 0
    position = first_child[ROOT]
    while position >= 0:
        if level == 0:
            edge, tree_id = 0, organizations.columns.tree_id[position]
            if tree_id in used_tree_ids:
                tree_id, next_tree_id = next_tree_id, next_tree_id + 1
            used_tree_ids.add(tree_id)
        edge += 1
        tree_ids[position], lfts[position], levels[position] = tree_id, edge, level
        order.append(position)
        if first_child[position] >= 0:
            position = first_child[position]
            level += 1
            continue
        while position >= 0:  # end it, and each parent whose last child it was
            edge += 1
            rghts[position] = edge
            if next_sibling[position] >= 0:
                position = next_sibling[position]
                break
            position = parents[position]
            level -= 1
    return NestedSet(columns, order)


def find_circles(organizations: LinkedOrganizations) -> Iterator[list[int]]:
    """Yield each circle of parents once, as positions: each is the child of the next, the last of the first."""
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
    """Make a root of the lowest position of each circle of parents, and return these positions.

    After this, the organizations of circles have trees of their own, and none of them is in another tree.
    """
    cut = [min(circle) for circle in find_circles(organizations)]
    for position in cut:
        organizations.parents[position] = ROOT
    return cut


CREATE_CHANGES = """
CREATE TEMPORARY TABLE tree_columns (id bigint, tree_id int, lft int, rght int, level int) ON COMMIT DROP
"""
WRITE_CHANGES = """
UPDATE orgs_organization organization  -- under the tree lock: other transactions write single rows only
   SET tree_id = changed.tree_id, lft = changed.lft, rght = changed.rght, level = changed.level
  FROM tree_columns changed
 WHERE organization.id = changed.id
"""


def write_changed_columns(organizations: LinkedOrganizations, nested_set: NestedSet) -> int:
    """Write the columns of the organizations whose columns differ, and return their number.

    A positive reference is an organization's id; other references are ignored. The transaction of the calling code
    holds the tree lock.
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
    """Return a number higher than every tree_id. The transaction of the calling code holds the tree lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(tree_id), 0) + 1 FROM orgs_organization")
        return int(cursor.fetchone()[0])


def _children(parents: array[int]) -> tuple[array[int], array[int]]:
    """Return the first child and the next sibling of each position, or -1 if there is none.

    The list of first children has two more items at its end, for PARENT_NOT_READ and ROOT, which are the indexes -2 and
    -1.
    """
    first_child, next_sibling = _integers(len(parents) + 2, -1), _integers(len(parents), -1)
    for position in range(len(parents) - 1, -1, -1):
        parent = parents[position]
        next_sibling[position] = first_child[parent]
        first_child[parent] = position
    return first_child, next_sibling
