"""The parts of the sentences of audit entries: plain words, and the names of things and organizations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sentence: plain words, or the name of something.

    `kind` is the kind of what it names, such as "flag", and empty for plain words. `key` is what its page is found by:
    a flag's key, the id of a job or of an organization. `hint` tells more: the path of an organization.
    """

    text: str
    kind: str = ""
    key: str = ""
    hint: str = ""


Parts = Sequence[Part]


@dataclass(frozen=True, slots=True)
class Places:
    """The names of the organizations of some entries, by id, and the word for those that are not among them."""

    paths: Mapping[int, Sequence[str]]
    unknown: str = "deleted"

    def part(self, organization_id: int | None, *, otherwise: str = "") -> Part:
        """Return the name of an organization, with its path as a hint. `otherwise` names one that has no path."""
        path = self.paths.get(organization_id or 0)
        if path:
            return Part(path[-1], "organization", str(organization_id), " › ".join(path))
        if otherwise:
            return Part(otherwise, hint=self.unknown)
        return Part(f"organization {organization_id} ({self.unknown})" if organization_id else "all organizations")
