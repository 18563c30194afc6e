"""What flags are meant to be: every request applied at once to a dictionary, in the order of the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Holds(NamedTuple):
    """A flag's value for an organization, where it comes from, and the number of the request that decided it."""

    enabled: bool
    source: int
    number: int


@dataclass(slots=True)
class NaiveModel:
    """Organizations by id with their parents, and what holds for each; no tree columns, no jobs, no rows."""

    parents: dict[int, int | None] = field(default_factory=dict)
    values: dict[int, dict[int, Holds]] = field(default_factory=dict)

    def below(self, organization: int) -> list[int]:
        """The organization itself and all below it."""
        return [each for each in self.parents if organization in self.line(each)]

    def line(self, organization: int) -> list[int]:
        """The organization itself and all above it."""
        parent = self.parents[organization]
        return [organization, *(self.line(parent) if parent is not None else [])]

    def create(self, organization: int, parent: int | None) -> None:
        """A new organization has what its parent has."""
        self.parents[organization] = parent
        self.values[organization] = dict(self.values[parent]) if parent is not None else {}

    def set(self, organization: int, flag: int, *, enabled: bool, number: int) -> None:
        """A change reaches everything that is below now."""
        for each in self.below(organization):
            self.values[each][flag] = Holds(enabled, organization, number)

    def move(self, organization: int, parent: int | None, *, number: int) -> None:
        """A moved organization, with all below it, has what its new parent has; other flags it keeps."""
        self.parents[organization] = parent
        for flag, holds in self.values[parent].items() if parent is not None else ():
            for each in self.below(organization):
                self.values[each][flag] = holds._replace(number=number)

    def delete(self, organization: int) -> None:
        """Nothing is left of it and of what is below."""
        for each in self.below(organization):
            del self.parents[each], self.values[each]
