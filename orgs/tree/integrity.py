"""The check of the nested set against the parent links, and its repair.

The parent links are the source. The columns are correct if these conditions hold. Every root has a tree_id of its own.
Every organization ends after its start. Every child lies inside of its parent's numbers, after the sibling before it,
and is one level below its parent. Every organization counts its children and what they count. Then no subtrees overlap,
and every count is right. Gaps may be anywhere.

Triggers refuse circles of parents (migration 0010), so only a session that disables triggers can create one. A repair
makes one organization of the circle the root of a tree of its own, with the rest of the circle and everything below it.
So these organizations are not in the subtree of any other organization. The circle remains a problem, because only a
person can decide which link is wrong.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from flagsite.core.db.snapshot import snapshot
from orgs.tree import locks, nested_set
from orgs.tree.nested_set import LinkedOrganizations, NestedSet

MAX_PROBLEMS_PER_KIND = 1_000
"""The maximum number of problems of each kind that a report lists."""


CIRCLE = "cycle"
"""The kind of problem that no repair can solve: parent links that form a circle. Reports use this name."""


@dataclass(frozen=True, slots=True)
class TreeProblem:
    """A problem of one organization; `words` describes it."""

    kind: str
    organization_id: int
    key: str
    words: str


@dataclass(frozen=True, slots=True)
class TreeReport:
    """The problems of the tree: the number of problems of each kind, and the first problems of each kind."""

    organizations: int
    counts: dict[str, int]
    problems: list[TreeProblem]

    @property
    def sound(self) -> bool:
        """Whether the tree has no problems."""
        return not self.counts


# Without organizations that are `cut` off from their parents, the query has at least one row for every circle: an
# organization must end after its children, which is not possible for all organizations of a circle.
FIND = """
WITH linked AS (
    SELECT id, key, CASE WHEN id = ANY(%(cut)s) THEN NULL ELSE parent_id END AS parent_id,
           id = ANY(%(cut)s) AS is_cut, tree_id, lft, rght, level, descendant_count
      FROM orgs_organization
), node AS (
    SELECT *, CASE WHEN parent_id IS NOT NULL THEN lag(rght) OVER siblings END AS before,
           row_number() OVER (PARTITION BY tree_id ORDER BY (parent_id IS NULL) DESC, is_cut, id) AS rank_in_tree
      FROM linked
    WINDOW siblings AS (PARTITION BY parent_id ORDER BY lft, id)
), children AS (
    SELECT parent_id AS id, sum(descendant_count + 1) AS organizations FROM node GROUP BY parent_id
), problem (kind, id, key, words) AS (
    SELECT 'tree', id, key,
           CASE WHEN is_cut THEN format('has tree_id %%s, which is that of others', tree_id)
                ELSE format('is a root, but not the first with tree_id %%s', tree_id) END
      FROM node WHERE parent_id IS NULL AND rank_in_tree > 1
     UNION ALL
    SELECT 'tree', node.id, node.key, format('has tree_id %%s, but its parent %%s', node.tree_id, parent.tree_id)
      FROM node JOIN orgs_organization parent ON parent.id = node.parent_id WHERE node.tree_id <> parent.tree_id
     UNION ALL
    SELECT 'level', node.id, node.key, format('has level %%s, not %%s', node.level, COALESCE(parent.level + 1, 0))
      FROM node LEFT JOIN orgs_organization parent ON parent.id = node.parent_id
     WHERE node.level <> COALESCE(parent.level + 1, 0)
     UNION ALL
    SELECT 'start', node.id, node.key,
           CASE WHEN node.lft <= parent.lft THEN format('has lft %%s, and its parent %%s', node.lft, parent.lft)
                WHEN node.lft <= node.before THEN format('has lft %%s, and the sibling before it ends at %%s',
                                                         node.lft, node.before)
                ELSE format('has lft %%s, which is less than 1', node.lft) END
      FROM node LEFT JOIN orgs_organization parent ON parent.id = node.parent_id
     WHERE node.lft <= COALESCE(GREATEST(node.before, parent.lft), 0)
     UNION ALL
    SELECT 'end', node.id, node.key,
           CASE WHEN node.rght <= node.lft THEN format('has rght %%s, and lft %%s', node.rght, node.lft)
                ELSE format('has rght %%s, and its parent %%s', node.rght, parent.rght) END
      FROM node LEFT JOIN orgs_organization parent ON parent.id = node.parent_id
     WHERE node.rght <= node.lft OR node.rght >= parent.rght
     UNION ALL
    SELECT 'count', node.id, node.key, format('has descendant_count %%s, not %%s', node.descendant_count,
           COALESCE(children.organizations, 0))
      FROM node LEFT JOIN children USING (id) WHERE node.descendant_count <> COALESCE(children.organizations, 0)
)
SELECT kind, id, key, words, total FROM (
    SELECT *, count(*) OVER (PARTITION BY kind) AS total, row_number() OVER (PARTITION BY kind ORDER BY id) AS rank
      FROM problem) ranked
 WHERE rank <= %(most)s ORDER BY kind, id
"""


def find_problems() -> TreeReport:
    """Compare the columns of all organizations with the parent links, in one snapshot."""
    with snapshot():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orgs_organization")
            organizations = int(cursor.fetchone()[0])
        rows = _find(cut=[])
        if rows:
            cut, unreachable = _circles()
            rows = [*unreachable, *_find(cut=cut)] if cut else rows
    counts = {kind: int(total) for kind, *_, total in rows}
    return TreeReport(organizations, counts, [TreeProblem(*row[:4]) for row in rows])


Rows = list[tuple[str, int, str, str, int]]
"""Kind, id, key, words, and the number of problems of this kind."""


def _find(*, cut: Sequence[int]) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(FIND, {"cut": list(cut), "most": MAX_PROBLEMS_PER_KIND})
        return cursor.fetchall()


# Roots come first, so that they keep their tree_id if an organization of a circle has the same. In a circle, the
# organization that starts first is cut off; after a repair, this is the same organization.
READ_ALL = """
WITH node AS (SELECT id, parent_id, tree_id, lft, rght, level, descendant_count,
                     row_number() OVER (ORDER BY (parent_id IS NULL) DESC, lft, tree_id, id) - 1 AS position
                FROM orgs_organization)
SELECT node.id, CASE WHEN node.parent_id IS NULL THEN -1 ELSE COALESCE(parent.position, -2) END,
       node.tree_id, node.lft, node.rght, node.level, node.descendant_count
  FROM node LEFT JOIN node parent ON parent.id = node.parent_id
 ORDER BY node.position
"""


def _circles() -> tuple[list[int], Rows]:
    """Return the organizations that a repair cuts off, and the organizations without a root as rows of FIND."""
    organizations = nested_set.read_organizations(READ_ALL)
    unreachable = array("b", [1]) * len(organizations)
    for position in nested_set.compute_nested_set(organizations).order:
        unreachable[position] = 0
    cut = [organizations.references[position] for position in nested_set.cut_circles(organizations)]
    ids = sorted(organizations.references[position] for position in range(len(organizations)) if unreachable[position])
    words = "cannot be reached from any root: it or one above it is below itself"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, key FROM orgs_organization WHERE id = ANY(%s) ORDER BY id", [ids[:MAX_PROBLEMS_PER_KIND]]
        )
        return cut, [(CIRCLE, id_, key, words, len(ids)) for id_, key in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Repair:
    """The columns that a repair will write, and the fingerprint of the organizations that they were computed from."""

    fingerprint: tuple[int, int]
    organizations: LinkedOrganizations
    repaired: NestedSet


ATTEMPTS_WITHOUT_LOCK = 3
FINGERPRINT = """
SELECT count(*), COALESCE(bit_xor(hash_record_extended(
           ROW(id, parent_id, tree_id, lft, rght, level, descendant_count), 0)), 0)
  FROM orgs_organization
"""


def repair(*, on_repaired: Callable[[int], object] = lambda _: None) -> int:
    """Write the columns as the parent links require, and return the number of changed organizations.

    `on_repaired` gets this number in the transaction that writes.

    An organization whose numbers are sound keeps them, so a repair writes little. It reads and computes without the
    lock of all trees. Then it takes the lock, and writes if the trees are still the same. If others change them all the
    time, the last attempt holds the lock from its beginning. Circles of parents get trees of their own; their parent
    links stay unchanged.
    """
    for _ in range(ATTEMPTS_WITHOUT_LOCK):
        with snapshot():
            planned = _plan()
        with transaction.atomic():
            locks.lock_all_trees_for_writing()
            if _fingerprint() == planned.fingerprint:
                return _write(planned, on_repaired)
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        return _write(_plan(), on_repaired)


def _write(planned: Repair, on_repaired: Callable[[int], object]) -> int:
    nested_set.number_new_trees(planned.repaired, locks.new_trees)
    repaired = nested_set.write_changed_columns(planned.organizations, planned.repaired)
    on_repaired(repaired)
    return repaired


def _plan() -> Repair:
    fingerprint = _fingerprint()
    organizations = nested_set.read_organizations(READ_ALL)
    nested_set.cut_circles(organizations)
    return Repair(fingerprint, organizations, nested_set.compute_nested_set(organizations))


def _fingerprint() -> tuple[int, int]:
    """Return the number of organizations, and a hash of their columns of the tree."""
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINT)
        count, fingerprint = cursor.fetchone()
        return int(count), int(fingerprint)
