"""Subtrees in SQL: the conditions by which a statement finds the organizations of a subtree.

Apart from `orgs`, no module names the columns of the nested set. A statement that needs a subtree is made of these
pieces of SQL text. A `Subtree` gives the values for their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Subtree:
    """An organization with everything below it, as the nested set described it when it was read.

    It stays true as long as the transaction that read it holds the tree lock, or is a `snapshot`.
    """

    organization_id: int
    tree_id: int
    lft: int
    rght: int

    @property
    def size(self) -> int:
        """How many organizations it has, the top one included."""
        return (self.rght - self.lft + 1) // 2

    def parameters(self) -> dict[str, int]:
        """The values for a statement that has the condition `is_in_subtree`."""
        return {"tree_id": self.tree_id, "lft": self.lft, "rght": self.rght}


def load_subtree(organization_id: int) -> Subtree | None:
    """Read the subtree as it stands now; None when there is no such organization."""
    with connection.cursor() as cursor:
        cursor.execute(LOAD_SUBTREE, [organization_id])
        row = cursor.fetchone()
    return Subtree(*row) if row else None


def subtree_columns(organization: str) -> str:
    """The columns that make a `Subtree`, in the order of its fields.

    `organization` is a table or an alias in the statement, as in all functions below.
    """
    return f"{organization}.id, {organization}.tree_id, {organization}.lft, {organization}.rght"


def tree_number(organization: str) -> str:
    """An expression for the number of the tree that the organization belongs to."""
    return f"{organization}.tree_id"


def subtree_size(organization: str) -> str:
    """An expression for how many organizations its subtree has, the organization included."""
    return f"({organization}.rght - {organization}.lft + 1) / 2"


def is_in_subtree(organization: str = "") -> str:
    """A condition: the organization is in the subtree whose `Subtree.parameters` the statement is given.

    Without `organization`, the columns are those of the statement's only table.
    """
    of = f"{organization}." if organization else ""
    return f"{of}tree_id = %(tree_id)s AND {of}lft BETWEEN %(lft)s AND %(rght)s"


def is_at_or_below(organization: str, top: str) -> str:
    """A condition: the organization is the organization `top`, or below it."""
    return f"{organization}.tree_id = {top}.tree_id AND {organization}.lft BETWEEN {top}.lft AND {top}.rght"


def subtrees_overlap(one: str, other: str) -> str:
    """A condition: the two organizations are the same, or one of them is below the other."""
    return f"{one}.tree_id = {other}.tree_id AND {one}.lft <= {other}.rght AND {other}.lft <= {one}.rght"


LOAD_SUBTREE = (
    f"SELECT {subtree_columns('organization')} FROM orgs_organization organization WHERE organization.id = %s"  # noqa: S608 - no input in it
)
