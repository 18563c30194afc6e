"""Subtrees in SQL: conditions and expressions for statements about the organizations of a subtree.

Outside of `orgs`, no module names the columns of the nested set. Statements are composed of these pieces of SQL text. A
`Subtree` has the values of their parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Stretch:
    """The organizations of one tree that start between two numbers of the nested set, both included.

    A subtree is a stretch, and so is its end: with each organization that starts there, all below it start there too.
    """

    tree_id: int
    lft: int
    rght: int

    def parameters(self) -> dict[str, int]:
        """Return the values for a statement with the condition `is_in_subtree`."""
        return {"tree_id": self.tree_id, "lft": self.lft, "rght": self.rght}


@dataclass(frozen=True, slots=True)
class Subtree:
    """An organization with everything below it, as the nested set described it when it was read.

    It stays correct while the transaction that read it holds the tree lock or is a `snapshot`.
    """

    organization_id: int
    tree_id: int
    lft: int
    rght: int
    descendant_count: int

    @property
    def size(self) -> int:
        """The number of its organizations, including the top one."""
        return self.descendant_count + 1

    def contains(self, other: Subtree) -> bool:
        """Return whether the top of the other subtree is in this one, if both were read at the same time."""
        return self.tree_id == other.tree_id and self.lft <= other.lft <= self.rght

    @property
    def starts_at(self) -> int:
        """The number of the nested set with which it starts, as in `stretch_of`."""
        return self.lft

    @property
    def stretch(self) -> Stretch:
        """The same organizations as a stretch."""
        return Stretch(self.tree_id, self.lft, self.rght)

    def parameters(self) -> dict[str, int]:
        """Return the values for a statement with the condition `is_in_subtree`."""
        return self.stretch.parameters()


def load_subtree(organization_id: int) -> Subtree | None:
    """Read the current subtree of an organization; return None if the organization does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(LOAD_SUBTREE, [organization_id])
        row = cursor.fetchone()
    return Subtree(*row) if row else None


def load_subtrees(organization_ids: Iterable[int]) -> list[Subtree]:
    """Read the current subtrees of organizations, in the order of their ids; those that do not exist are left out."""
    with connection.cursor() as cursor:
        cursor.execute(LOAD_SUBTREES, [list(organization_ids)])
        return [Subtree(*row) for row in cursor.fetchall()]


def subtree_columns(organization: str) -> str:
    """Return the columns of a `Subtree`, in the order of its fields.

    `organization` is a table or an alias in the statement, as in all functions below.
    """
    return ", ".join(f"{organization}.{column}" for column in ("id", "tree_id", "lft", "rght", "descendant_count"))


TREE_OF_PARAMETERS = "%(tree_id)s"
"""The number of the tree that the parameters name (`Stretch.parameters`), in a statement."""


def tree_number(organization: str) -> str:
    """Return an expression for the number of the organization's tree."""
    return f"{organization}.tree_id"


def stretch_of(organization: str) -> str:
    """Return two columns, `starts_at` and `ends_at`: the numbers between which the organization's subtree lies."""
    return f"{organization}.lft AS starts_at, {organization}.rght AS ends_at"


def start_of(organization: str) -> str:
    """Return an expression for the number at which the organization's subtree starts."""
    return f"{organization}.lft"


def subtree_size(organization: str) -> str:
    """Return an expression for the number of organizations in the subtree, including the organization itself."""
    return f"({organization}.descendant_count + 1)"


def level_of(organization: str) -> str:
    """Return an expression for the number of organizations above the organization."""
    return f"{organization}.level"


def is_in_subtree(organization: str = "") -> str:
    """Return a condition: the organization is in the subtree, or the stretch, that gave the parameters (`parameters`).

    Without `organization`, the columns are those of the statement's only table.
    """
    of = f"{organization}." if organization else ""
    return f"{of}tree_id = %(tree_id)s AND {of}lft BETWEEN %(lft)s AND %(rght)s"


def in_tree_order(organization: str) -> str:
    """Return the expressions to order by, so that each organization comes after its parent and its subtree after it."""
    return f"{organization}.tree_id, {organization}.lft"


def is_at_or_below(organization: str, top: str) -> str:
    """Return a condition: the organization is the organization `top`, or is below it."""
    return f"{organization}.tree_id = {top}.tree_id AND {organization}.lft BETWEEN {top}.lft AND {top}.rght"


def subtrees_overlap(one: str, other: str) -> str:
    """Return a condition: the two organizations are the same, or one of them is below the other."""
    return f"{one}.tree_id = {other}.tree_id AND {one}.lft <= {other}.rght AND {other}.lft <= {one}.rght"


LOAD_SUBTREE = (
    f"SELECT {subtree_columns('organization')} FROM orgs_organization organization WHERE organization.id = %s"  # noqa: S608 - no input in it
)
LOAD_SUBTREES = (
    f"SELECT {subtree_columns('organization')} FROM orgs_organization organization "  # noqa: S608 - no input in it
    "WHERE organization.id = ANY(%s) ORDER BY organization.id"
)
