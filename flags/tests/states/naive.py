"""What flags are meant to be: each request applied at once to a dictionary of settings, in the order of numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Holds(NamedTuple):
    """A flag's value for an organization, where it comes from, the number that decided it, and whether it is locked."""

    enabled: bool | None
    source: int | None
    number: int
    locked: bool = False


class Decision(NamedTuple):
    """A setting: "set", "lock" or "none", its value, its number, and whether it counts for its organization only."""

    kind: str
    enabled: bool | None
    number: int
    only_here: bool = False


@dataclass(slots=True)
class NaiveModel:
    """Organizations by id with their parents, and the settings by organization and flag; no columns, jobs or rows."""

    parents: dict[int, int | None] = field(default_factory=dict)
    settings: dict[tuple[int, int], Decision] = field(default_factory=dict)

    def below(self, organization: int) -> list[int]:
        """The organization itself and all below it."""
        return [each for each in self.parents if organization in self.line(each)]

    def line(self, organization: int | None) -> list[int]:
        """The organization itself and all above it."""
        return [] if organization is None else [organization, *self.line(self.parents[organization])]

    def value(self, organization: int, flag: int) -> Holds | None:
        """What holds for an organization; None if nobody has ever decided about the flag there or above."""
        decisions = [(place, self.settings.get((place, flag))) for place in self.line(organization)]
        found = [(place, one) for place, one in decisions if one is not None]
        if not found:
            return None
        number = max(one.number for _, one in found)
        for place, one in reversed(found):
            if one.kind == "lock":
                return Holds(one.enabled, place, number, True)
        for place, one in found:
            if one.kind == "set" and (place == organization or not one.only_here):
                return Holds(one.enabled, place, number)
        return Holds(None, None, number)

    @property
    def values(self) -> dict[int, dict[int, Holds]]:
        """What holds, by organization and flag, where something is set."""
        flags = sorted({flag for _, flag in self.settings})
        found = {each: {flag: self.value(each, flag) for flag in flags} for each in self.parents}
        return {
            each: {flag: held for flag, held in values.items() if held is not None} for each, values in found.items()
        }

    def is_locked_above(self, organization: int, flag: int) -> bool:
        """Whether somebody above has locked the flag."""
        above = self.line(organization)[1:]
        return any(self.settings.get((each, flag), Decision("none", None, 0)).kind == "lock" for each in above)

    def create(self, organization: int, parent: int | None) -> None:
        """A new organization has no settings."""
        self.parents[organization] = parent

    def set(self, organization: int, flag: int, *, enabled: bool, number: int, below: str, only_here: bool) -> None:
        """A new setting; what is below stays, or ends."""
        kind = "lock" if below == "lock" else "set"
        if below == "overwrite":
            self.end_below(organization, flag, number)
        self.settings[organization, flag] = Decision(kind, enabled, number, only_here)

    def reset(self, organization: int, flag: int, *, number: int, subtree: bool) -> None:
        """The setting ends, and perhaps those below."""
        if subtree:
            self.end_below(organization, flag, number)
        self.settings[organization, flag] = Decision("none", None, number)

    def end_below(self, organization: int, flag: int, number: int) -> None:
        """All settings below end."""
        for each in self.below(organization):
            if self.settings.get((each, flag), Decision("none", None, 0)).kind != "none":
                self.settings[each, flag] = Decision("none", None, number)

    def is_set_at_or_below(self, organization: int, flag: int) -> bool:
        """Whether a reset of the subtree would end something."""
        return any(self.is_set(each, flag) for each in self.below(organization))

    def is_set(self, organization: int, flag: int) -> bool:
        """Whether the organization has a setting of its own."""
        return self.settings.get((organization, flag), Decision("none", None, 0)).kind != "none"

    def move(self, organization: int, parent: int | None, *, number: int) -> None:
        """The settings go along; the moved one gets a number for each flag of the former and the new place."""
        above = {*self.line(self.parents[organization]), *self.line(parent)}
        self.parents[organization] = parent
        for flag in {flag for place, flag in self.settings if place in above}:
            own = self.settings.get((organization, flag), Decision("none", None, 0))
            self.settings[organization, flag] = own._replace(number=number)

    def delete(self, organization: int) -> None:
        """Nothing is left of it and of what is below."""
        for each in self.below(organization):
            del self.parents[each]
            for place in [place for place in self.settings if place[0] == each]:
                del self.settings[place]
