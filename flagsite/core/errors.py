"""The base of every error that Flagsite's own code raises."""

from __future__ import annotations


class FlagsiteError(Exception):
    """The request could not be carried out."""

    def __init__(self, detail: str | None = None, **context: object) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.context = context
        self.members: dict[str, object] = {}
        """What an answer says besides: extension members of the problem details."""
        super().__init__(self.detail)
