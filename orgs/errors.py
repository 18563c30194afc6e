"""What can go wrong with organizations and access. Each class's docstring is the message a person reads."""

from __future__ import annotations


class FlagsiteError(Exception):
    """The request could not be carried out."""

    def __init__(self, detail: str | None = None, **context: object) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.context = context
        super().__init__(self.detail)


class OrganizationNotFound(FlagsiteError):
    """There is no such organization, or it is not yours to see."""


class DuplicateOrganizationKey(FlagsiteError):
    """Another organization has this key already."""


class MoveUnderOwnDescendant(FlagsiteError):
    """An organization cannot be moved under itself or one of its own descendants."""


class OrganizationHasChildren(FlagsiteError):
    """The organization has others below it; ask for the whole subtree to be deleted (subtree=true)."""


class ImportRefused(FlagsiteError):
    """The file has lines that cannot be imported; nothing was changed."""


class OutsideTransaction(FlagsiteError):
    """The tree lock lives as long as a transaction; open one first."""


class IdempotencyConflict(FlagsiteError):
    """This Idempotency-Key was used before with another request."""


class IdempotentRequestRunning(FlagsiteError):
    """A request with this Idempotency-Key is being carried out right now; ask again in a moment."""
