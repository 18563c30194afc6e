"""Computation of the nested set from the parent links, for an import and for a repair.

The organizations are kept in arrays of machine integers, with about 90 bytes for each. The position in these arrays
identifies an organization. Siblings get the order of their positions.

The nested set numbers the organizations of a tree depth-first: `lft` at the start of a subtree, `rght` at its end
(Joe Celko, "Trees and Hierarchies in SQL"). The numbers have gaps (`orgs.tree.spacing`). So an organization whose
numbers lie inside of its parent's and beside its siblings' keeps them. All others get numbers in the gap of the lowest
ancestor that has room.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field

from django.db import connection

from flagsite.core.db.copy_in import BLOCK_SIZE, copy_in, copy_row
from orgs.tree import spacing

ROOT = -1
"""The value instead of a parent's position if the organization is a root."""
PARENT_NOT_READ = -2
"""The value instead of a parent's position if the parent is not among the organizations that were read."""


def _integers(size: int = 0, value: int = 0) -> array[int]:
    return array("i", [value]) * size


def _big_integers(size: int = 0) -> array[int]:
    return array("q", [0]) * size


@dataclass(slots=True)
class Columns:
    """The columns of the nested set, by position."""

    tree_id: array[int] = field(default_factory=_integers)
    lft: array[int] = field(default_factory=_big_integers)
    rght: array[int] = field(default_factory=_big_integers)
    level: array[int] = field(default_factory=_integers)
    descendant_count: array[int] = field(default_factory=_integers)

    @classmethod
    def zeros(cls, size: int) -> Columns:
        """Return the columns of so many organizations, all 0."""
        return cls(_integers(size), _big_integers(size), _big_integers(size), _integers(size), _integers(size))

    def of(self, position: int) -> tuple[int, int, int, int, int]:
        """Return tree_id, lft, rght, level and descendant_count of one organization."""
        return (
            self.tree_id[position],
            self.lft[position],
            self.rght[position],
            self.level[position],
            self.descendant_count[position],
        )


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

    `indexes` has the index of each position in `order`.
    `order` does not have the positions of organizations without a root, and their columns are 0. After `cut_circles`
    there are no such organizations.
    """

    columns: Columns
    order: array[int]
    indexes: array[int]


def read_organizations(query: str) -> LinkedOrganizations:
    """Read organizations with a query that returns them in the order of their positions.

    Each row has seven integers: the reference, the parent's position, tree_id, lft, rght, level and descendant_count.
    """
    references, parents, columns = array("q"), _integers(), Columns()
    read = (columns.tree_id, columns.lft, columns.rght, columns.level, columns.descendant_count)
    targets = (references, parents, *read)
    with connection.chunked_cursor() as cursor:  # a cursor on the server: the rows come in blocks
        cursor.execute(query)
        while rows := cursor.fetchmany(BLOCK_SIZE):
            for target, numbers in zip(targets, zip(*rows, strict=True), strict=True):
                target.extend(numbers)
    return LinkedOrganizations(references, parents, columns)


def compute_nested_set(organizations: LinkedOrganizations, *, moved: Container[int] = frozenset()) -> NestedSet:
    """Compute the columns from the parents. The organizations at the positions `moved` do not keep their numbers.

    A root keeps its tree_id, unless it has none or an earlier root has the same. Then its tree is new, and has a
    negative number until `number_new_trees`.
    """
    nested_set = _compute_structure(organizations)
    kept, edges = _find_kept(organizations, nested_set.order, moved)
    _number(organizations, nested_set, kept, edges)
    return nested_set


def number_new_trees(nested_set: NestedSet, draw: Callable[[int], Iterable[int]]) -> None:
    """Give each new tree a number; `draw` returns as many as there are new trees."""
    tree_ids = nested_set.columns.tree_id
    new = -min(tree_ids, default=0)
    if new <= 0:
        return
    numbers = array("i", draw(new))
    for position in nested_set.order:
        if tree_ids[position] < 0:
            tree_ids[position] = numbers[-1 - tree_ids[position]]


def _compute_structure(organizations: LinkedOrganizations) -> NestedSet:
    """Compute the order and the columns without `lft` and `rght`."""
    first_child, next_sibling = _children(organizations.parents)
    parents, columns = organizations.parents, Columns.zeros(len(organizations))
    tree_ids, levels, counts = columns.tree_id, columns.level, columns.descendant_count
    order, indexes, used_tree_ids = _integers(), _integers(len(organizations)), {0}
    index = level = tree_id = new_trees = 0
    position = first_child[ROOT]
    while position >= 0:
        if level == 0:
            tree_id = organizations.columns.tree_id[position]
            if tree_id in used_tree_ids:
                new_trees += 1
                tree_id = -new_trees
            used_tree_ids.add(tree_id)
        tree_ids[position], indexes[position], levels[position] = tree_id, index, level
        order.append(position)
        index += 1
        if first_child[position] >= 0:
            position = first_child[position]
            level += 1
            continue
        while position >= 0:  # end it, and each parent whose last child it was
            counts[position] = index - indexes[position] - 1
            if next_sibling[position] >= 0:
                position = next_sibling[position]
                break
            position = parents[position]
            level -= 1
    return NestedSet(columns, order, indexes)


def _find_kept(
    organizations: LinkedOrganizations, order: array[int], moved: Container[int]
) -> tuple[bytearray, array[int]]:
    """Return by position whether an organization keeps its numbers, and the last used number before its end if so.

    It keeps them if its parent does, and if they lie inside of its parent's and after those of its earlier siblings.
    """
    parents, lfts, rghts = organizations.parents, organizations.columns.lft, organizations.columns.rght
    kept, edges = bytearray(len(organizations)), _big_integers(len(organizations))
    for position in order:
        lft, rght, parent = lfts[position], rghts[position], parents[position]
        if lft < 1 or rght <= lft or position in moved:
            continue
        if parent != ROOT:
            if not kept[parent] or lft <= edges[parent] or rght >= rghts[parent]:
                continue
            edges[parent] = rght
        kept[position], edges[position] = True, lft
    return kept, edges


def _number(organizations: LinkedOrganizations, nested_set: NestedSet, kept: bytearray, edges: array[int]) -> None:
    """Write `lft` and `rght`: the old ones to those that keep them, and to the others places in their parents' gaps.

    A parent without enough room does not keep its numbers, and goes with everything below it into the gap of its own
    parent. This is decided from the last organization to the first, so that descendants come before their ancestors.
    """
    parents, old, new = organizations.parents, organizations.columns, nested_set.columns
    waiting: dict[int, list[int]] = {}
    for position in reversed(nested_set.order):
        if kept[position]:
            new.lft[position], new.rght[position] = old.lft[position], old.rght[position]
            if position not in waiting:
                continue
            kept[position] = _place(nested_set, waiting.pop(position), position, edges[position], parents[position])
        if not kept[position]:
            parent = parents[position]
            if parent == ROOT:
                step = spacing.SPACING.of_tree(new.descendant_count[position] + 1)
                _lay_out(nested_set, position, 1, step)
            elif kept[parent]:
                waiting.setdefault(parent, []).append(position)


def _place(nested_set: NestedSet, tops: list[int], parent: int, edge: int, parent_of_parent: int) -> bool:
    """Place subtrees after the number `edge` and before the end of their parent; return False if there is no room."""
    columns, widths = nested_set.columns, spacing.SPACING
    size = sum(columns.descendant_count[top] + 1 for top in tops)
    if parent_of_parent == ROOT:
        width = size * (widths.unit + 1)
        end = edge + 1 + width + widths.unit
        if end > widths.limit:
            return False
        columns.rght[parent] = max(columns.rght[parent], end)
    else:
        free = columns.rght[parent] - edge - 1
        width = spacing.share(free, size, columns.descendant_count[parent], least=widths.least)
        if width > free:
            return False
    start, step = edge + 1, width // size - 1
    for top in reversed(tops):
        _lay_out(nested_set, top, start, step)
        start += (columns.descendant_count[top] + 1) * (step + 1)
    return True


def _lay_out(nested_set: NestedSet, top: int, start: int, step: int) -> None:
    """Number a subtree from `start` on, each organization with the gap `step`, as `spacing.numbers` does for one."""
    columns, order, first = nested_set.columns, nested_set.order, nested_set.indexes[top]
    lfts, rghts, levels, counts = columns.lft, columns.rght, columns.level, columns.descendant_count
    top_level = levels[top]
    for index in range(counts[top] + 1):
        position = order[first + index]
        below = counts[position]
        lft = start + index + step * (index - levels[position] + top_level)
        lfts[position], rghts[position] = lft, lft + step * (below + 1) + below


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
CREATE TEMPORARY TABLE tree_columns (
    id bigint, tree_id int, lft bigint, rght bigint, level int, descendant_count int) ON COMMIT DROP
"""
WRITE_CHANGES = """
UPDATE orgs_organization organization  -- under the tree locks: other transactions write single rows only
   SET tree_id = changed.tree_id, lft = changed.lft, rght = changed.rght, level = changed.level,
       descendant_count = changed.descendant_count
  FROM tree_columns changed
 WHERE organization.id = changed.id
"""


def write_changed_columns(organizations: LinkedOrganizations, nested_set: NestedSet) -> int:
    """Write the columns of the organizations whose columns differ, and return their number.

    A positive reference is an organization's id; other references are ignored. The transaction of the calling code
    holds the locks of the trees.
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
