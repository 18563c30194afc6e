"""What can go wrong with organizations and access. Each class's docstring is the message a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flagsite.core.errors import FlagsiteError


class OrganizationNotFound(FlagsiteError):
    """There is no such organization, or it is not yours to see."""


class DuplicateOrganizationKey(FlagsiteError):
    """Another organization has this key already."""


class MoveUnderOwnDescendant(FlagsiteError):
    """An organization cannot be moved under itself or one of its own descendants."""


class OrganizationHasChildren(FlagsiteError):
    """The organization has others below it; ask for the whole subtree to be deleted (subtree=true)."""


class OrganizationBelowItself(FlagsiteError):
    """The organization would be below itself by way of its parents; the tree is damaged, let check_tree repair it."""


class OrganizationHasStaff(FlagsiteError):
    """People are bound to the organization or to one below it; without it they would see everything."""


class RefusedLine(NamedTuple):
    """A line of a file that cannot be imported, and why."""

    line: int
    problem: str


class ImportRefused(FlagsiteError):
    """The file has lines that cannot be imported; nothing was changed.

    `lines` are those lines in the order of the file, one for each problem, `count` how many; `lines` may be cut to
    the first 100,000.
    """

    def __init__(self, detail: str | None = None, *, lines: Sequence[RefusedLine] = (), count: int = 0) -> None:
        problems = "1 problem" if count == 1 else f"{count:,} problems"
        super().__init__(detail or f"The file cannot be imported: {problems}. Nothing was changed.")
        self.lines = lines
        self.count = count


class OutsideTransaction(FlagsiteError):
    """The tree lock lives as long as a transaction; open one first."""


class ActorMissing(FlagsiteError):
    """An entry of the audit log names its actor; say who acts first (flagsite.core.actor)."""


class TreeBusy(FlagsiteError):
    """The tree of organizations is being changed on a large scale, and nothing else was done to it; try again soon."""


class IdempotencyConflict(FlagsiteError):
    """This Idempotency-Key was used before with another request."""


class IdempotentRequestRunning(FlagsiteError):
    """A request with this Idempotency-Key is being carried out right now; ask again in a moment."""


class OutsideOfYourSubtree(FlagsiteError):
    """Your key is bound to an organization: it changes what is below that one, not its place and nothing above."""


class AccessKeyNotFound(FlagsiteError):
    """There is no such access key."""


class InvalidKeyName(FlagsiteError):
    """The name of an access key has 1 to 50 printable characters."""
