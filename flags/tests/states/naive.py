"""The pure model of docs/conformance with change numbers: what settings and rows have to be after each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flags.tests.control.model import Model


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
    """The model, with organizations and flags by id, and the number of the last decision about each of them."""

    pure: Model = field(default_factory=Model)
    numbers: dict[tuple[Any, Any], int] = field(default_factory=dict)
    """By organization and flag, also if nothing is set there any more."""

    @property
    def parents(self) -> dict[Any, Any]:
        """The parent of each organization."""
        return self.pure.parents

    @property
    def settings(self) -> dict[tuple[int, int], Decision]:
        """All decisions, by organization and flag, also those that have ended."""
        found = {}
        for place, number in self.numbers.items():
            own = self.pure.settings.get(place)
            found[place] = Decision(own.kind, own.value, number, own.reach == "here") if own else _ended(number)
        return found

    def line(self, organization: int | None) -> list[Any]:
        """The organization itself and all above it."""
        return [] if organization is None else self.pure.path(organization)[::-1]

    def value(self, organization: int, flag: int) -> Holds | None:
        """What holds for an organization; None if nobody has ever decided about the flag there or above."""
        numbers = [self.numbers[each, flag] for each in self.line(organization) if (each, flag) in self.numbers]
        answer = self.pure.answer(organization, flag)
        source: Any = answer.source
        return Holds(answer.value, source, max(numbers), answer.reason == "lock") if numbers else None

    @property
    def values(self) -> dict[int, dict[int, Holds]]:
        """What holds, by organization and flag, where something is decided."""
        flags = sorted({flag for _, flag in self.numbers})
        found = {each: {flag: self.value(each, flag) for flag in flags} for each in self.parents}
        return {
            each: {flag: held for flag, held in values.items() if held is not None} for each, values in found.items()
        }

    def is_locked_above(self, organization: int, flag: int) -> bool:
        """Whether a lock above keeps the organization from setting the flag."""
        return self.pure.lock(organization, flag) not in {None, organization}

    def create(self, organization: int, parent: int | None) -> None:
        """A new organization has no settings."""
        self.pure.create(organization, parent)

    def set(self, organization: int, flag: int, *, enabled: bool, number: int, below: str, only_here: bool) -> None:
        """A new setting; what is below stays, or ends."""
        if below == "overwrite":
            self._end_at_and_below(organization, flag, number)
        self.pure.set(organization, flag, enabled, below=below, reach="here" if only_here else "below")
        self.numbers[organization, flag] = number

    def reset(self, organization: int, flag: int, *, number: int, subtree: bool) -> None:
        """The setting ends, and perhaps those below."""
        if subtree:
            self._end_at_and_below(organization, flag, number)
        self.pure.reset(organization, flag, subtree=subtree)
        self.numbers[organization, flag] = number

    def exempt(self, organization: int, flag: int, *, number: int) -> None:
        """The lock that holds does not hold here and below any more."""
        self.pure.exempt(organization, flag)
        self.numbers[organization, flag] = number

    def end_exemption(self, organization: int, flag: int, *, number: int) -> None:
        """It holds again."""
        self.pure.end_exemption(organization, flag)
        self.numbers[organization, flag] = number

    def is_set_at_or_below(self, organization: int, flag: int) -> bool:
        """Whether a reset of the subtree would end something."""
        return any(self.is_set(each, flag) for each in self.pure.subtree(organization))

    def is_set(self, organization: int, flag: int) -> bool:
        """Whether the organization has a setting of its own."""
        return (organization, flag) in self.pure.settings

    def move(self, organization: int, parent: int | None, *, number: int, materialise: bool = False) -> None:
        """The moved organization gets a number for each flag that was decided above the former or the new place."""
        above = {*self.line(self.parents[organization]), *self.line(parent)}
        self.pure.move(organization, parent, materialise=materialise)
        for flag in {flag for place, flag in self.numbers if place in above}:
            self.numbers[organization, flag] = number

    def delete(self, organization: int) -> None:
        """Nothing is left of it and of what is below."""
        self.pure.delete(organization, subtree=True)
        self.numbers = {place: number for place, number in self.numbers.items() if place[0] in self.parents}

    def _end_at_and_below(self, organization: int, flag: int, number: int) -> None:
        """Give the settings that end the number of the change that ends them."""
        for each in self.pure.subtree(organization):
            if self.is_set(each, flag):
                self.numbers[each, flag] = number


def _ended(number: int) -> Decision:
    return Decision("none", None, number)
