"""Whether the nested set says what the parent links say, and the repair when it does not.

The parent links are the truth. The columns are right when every root starts at 1 in a tree of its own, every child
starts right after its parent's start or its sibling's end, and every organization ends right after its last child's
end or its own start. Then nothing overlaps, and no gap makes a subtree look bigger than it is.

Triggers refuse circles of parents (migration 0010), so only a session that disables triggers can make one. The columns
are right then when one organization of the circle stands as the root of a tree of its own, with all others of the
circle and everything below them: an organization that is not below another one is not in its subtree either. The
circle stays a problem, because only a person can tell which link is wrong.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from flagsite.core.db.snapshot import snapshot
from orgs.tree import locks, nested_set

MOST_SHOWN = 1_000
"""Problems of each kind that are told one by one."""


CIRCLE = "cycle"
"""The kind of problem that no repair can solve: parent links that go in a circle. Reports have called it so."""


@dataclass(frozen=True, slots=True)
class TreeProblem:
    """Something that is wrong with one organization, in words."""

    kind: str
    organization_id: int
    key: str
    words: str


@dataclass(frozen=True, slots=True)
class TreeReport:
    """What is wrong with the tree: how many problems of each kind, and the first of each."""

    organizations: int
    counts: dict[str, int]
    problems: list[TreeProblem]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts


# With no organization `cut` off from its parent it also tells of every circle, if not by name: an organization's end is
# after its children's, which cannot be so all the way round.
FIND = """
WITH linked AS (
    SELECT id, key, CASE WHEN id = ANY(%(cut)s) THEN NULL ELSE parent_id END AS parent_id,
           id = ANY(%(cut)s) AS is_cut, tree_id, lft, rght, level
      FROM orgs_organization
), node AS (
    SELECT *, lag(rght) OVER siblings AS before,
           row_number() OVER (PARTITION BY tree_id ORDER BY (parent_id IS NULL) DESC, is_cut, id) AS rank_in_tree
      FROM linked
    WINDOW siblings AS (PARTITION BY parent_id ORDER BY lft, id)
), last_child AS (
    SELECT parent_id AS id, max(rght) AS rght FROM node GROUP BY parent_id
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
    SELECT 'start', node.id, node.key, format('has lft %%s, not %%s', node.lft,
           CASE WHEN node.parent_id IS NULL THEN 1 ELSE COALESCE(node.before, parent.lft) + 1 END)
      FROM node LEFT JOIN orgs_organization parent ON parent.id = node.parent_id
     WHERE node.lft <> CASE WHEN node.parent_id IS NULL THEN 1 ELSE COALESCE(node.before, parent.lft) + 1 END
     UNION ALL
    SELECT 'end', node.id, node.key, format('has rght %%s, not %%s', node.rght, COALESCE(last_child.rght, node.lft) + 1)
      FROM node LEFT JOIN last_child USING (id) WHERE node.rght <> COALESCE(last_child.rght, node.lft) + 1
)
SELECT kind, id, key, words, total FROM (
    SELECT *, count(*) OVER (PARTITION BY kind) AS total, row_number() OVER (PARTITION BY kind ORDER BY id) AS rank
      FROM problem) ranked
 WHERE rank <= %(most)s ORDER BY kind, id
"""


def find_problems() -> TreeReport:
    """Compare the columns with the parent links, all organizations at one moment."""
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
"""Kind, id, key, words, and how many of the kind there are."""


def _find(*, cut: Sequence[int]) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(FIND, {"cut": list(cut), "most": MOST_SHOWN})
        return cursor.fetchall()


# Roots come first, so that they keep their tree_id before one that is cut off from a circle; of a circle the one that
# starts first is cut, which after a repair is the same again.
READ_ALL = """
WITH node AS (SELECT id, parent_id, tree_id, lft, rght, level,
                     row_number() OVER (ORDER BY (parent_id IS NULL) DESC, lft, tree_id, id) - 1 AS position
                FROM orgs_organization)
SELECT node.id, CASE WHEN node.parent_id IS NULL THEN -1 ELSE COALESCE(parent.position, -2) END,
       node.tree_id, node.lft, node.rght, node.level
  FROM node LEFT JOIN node parent ON parent.id = node.parent_id
 ORDER BY node.position
"""


def _circles() -> tuple[list[int], Rows]:
    """The organizations that a repair cuts off from their parents, and all that no root leads to, as rows of FIND."""
    organizations = nested_set.read_organizations(READ_ALL)
    lost = array("b", [1]) * len(organizations)
    for position in nested_set.compute_nested_set(organizations, next_tree_id=1).order:
        lost[position] = 0
    cut = [organizations.references[position] for position in nested_set.cut_circles(organizations)]
    ids = sorted(organizations.references[position] for position in range(len(organizations)) if lost[position])
    words = "cannot be reached from any root: it or one above it is below itself"
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, key FROM orgs_organization WHERE id = ANY(%s) ORDER BY id", [ids[:MOST_SHOWN]])
        return cut, [(CIRCLE, id_, key, words, len(ids)) for id_, key in cursor.fetchall()]


def repair() -> int:
    """Write the columns that the parent links give, siblings in the order that they have; returns how many differed.

    Organizations that no root leads to get trees of their own; their parent links stay as they are.
    """
    with transaction.atomic():
        locks.lock_tree_for_writing()
        organizations = nested_set.read_organizations(READ_ALL)
        nested_set.cut_circles(organizations)
        repaired = nested_set.compute_nested_set(organizations, next_tree_id=nested_set.next_tree_id())
        return nested_set.write_changed_columns(organizations, repaired)
