"""The errors of organizations and access. The docstring of a class is the message that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flagsite.core.errors import FlagsiteError


class OrganizationNotFound(FlagsiteError):
    """There is no such organization, or you have no access to it. Name it by id or key: 31, acme, id:31 or key:31."""


class OrganizationAmbiguous(FlagsiteError):
    """This number is the key of one organization and perhaps the id of another. Write id:… or key:… before it."""


class DuplicateOrganizationKey(FlagsiteError):
    """This key is taken. Choose another, for instance with a prefix."""


class MoveUnderOwnDescendant(FlagsiteError):
    """An organization cannot be moved below itself or below one of its descendants."""


class OrganizationHasChildren(FlagsiteError):
    """Other organizations are below it. Delete them first, or all at once with subtree=true (command: --subtree)."""


class OrganizationBelowItself(FlagsiteError):
    """The organization would be below itself. The tree is damaged; run check_tree --repair."""


class OrganizationHasStaff(FlagsiteError):
    """People are bound to the organization or to one below it. Without it they would see everything."""


class RefusedLine(NamedTuple):
    """A line of a file that cannot be imported, with its problem."""

    line: int
    problem: str


class ImportRefused(FlagsiteError):
    """The file has lines that cannot be imported; nothing was changed.

    `lines` has the lines in the order of the file, 100,000 at most. `count` is the number of all lines with a problem.
    `advice` is a sentence about the likely cause and the way out, or "".
    """

    def __init__(
        self, detail: str | None = None, *, lines: Sequence[RefusedLine] = (), count: int = 0, advice: str = ""
    ) -> None:
        problems = "1 problem" if count == 1 else f"{count:,} problems"
        detail = detail or f"The file cannot be imported: {problems}. Nothing was changed."
        super().__init__(f"{detail} {advice}".rstrip())
        self.lines = lines
        self.count = count
        self.advice = advice

    def with_advice(self, advice: str) -> ImportRefused:
        """Return the same error with a sentence about the way out."""
        return ImportRefused(self.detail, lines=self.lines, count=self.count, advice=advice)


class InvalidImportOption(FlagsiteError):
    """An option of the import has no valid value."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(problem)
        self.option = option


class NoLongerAllowed(FlagsiteError):
    """Whoever requested this work may not request it any more."""


class OutsideTransaction(FlagsiteError):
    """The tree lock belongs to a transaction. Open a transaction first."""


class ActorMissing(FlagsiteError):
    """An audit entry needs an actor. Set the actor first (flagsite.core.actor)."""


class TreeBusy(FlagsiteError):
    """A large change of the tree of organizations is running. This request has changed nothing; try again soon."""


class IdempotencyConflict(FlagsiteError):
    """This Idempotency-Key was used before with another request."""


class IdempotentRequestRunning(FlagsiteError):
    """A request with this Idempotency-Key is still running. Try again in a moment."""


class OutsideOfYourSubtree(FlagsiteError):
    """Your scope is an organization. You cannot move or delete it, and you cannot change anything outside of it."""


class RoleNeeded(FlagsiteError):
    """Your role does not allow this."""


class MoreThanYouMay(FlagsiteError):
    """Nobody can give more rights than their own."""


class PersonNotFound(FlagsiteError):
    """This person does not exist, or you have no access to the person."""


class PersonExists(FlagsiteError):
    """This username is taken. Choose another, for instance with a prefix."""


class InvalidAttribute(FlagsiteError):
    """An attribute of an organization has a name or a value that it cannot have."""


class TooManyAttributes(FlagsiteError):
    """An organization has at most 50 attributes of its own. Remove others first."""


class AttributesChangedMeanwhile(FlagsiteError):
    """The attributes have changed since you read them. Read them again, and decide again."""


class AccessKeyNotFound(FlagsiteError):
    """This access key does not exist, or you have no access to it."""


class AccessKeyEnded(FlagsiteError):
    """The access key is not valid any more, or it was rotated already."""


class InvalidKeyExpiry(FlagsiteError):
    """The time at which an access key expires must be in the future."""


class InvalidKeyName(FlagsiteError):
    """The name of an access key must have 1 to 50 printable characters."""
