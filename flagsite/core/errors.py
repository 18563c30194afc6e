"""The base class of every error that Flagsite's own code raises."""

from __future__ import annotations


class FlagsiteError(Exception):
    """The request could not be carried out."""

    def __init__(self, detail: str | None = None, **context: object) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.context = context
        self.members: dict[str, object] = {}
        """Extension members of the problem details in the answer (RFC 9457)."""
        super().__init__(self.detail)
