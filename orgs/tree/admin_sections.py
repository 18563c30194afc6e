"""Sections, figures and previews that other apps add to the admin site's pages of organizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orgs.access.caller import Caller
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class OrganizationSection:
    """A part of an organization's page: a template, and a function that returns its context.

    The function gets the organization, the caller and the query of the page's address.
    """

    template: str
    context: Callable[[Organization, Caller, Mapping[str, str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """What belongs to an organization: a label, a number, and a link to the list of what the number counts."""

    label: str
    value: str
    link: str


FindFigures = Callable[[Organization, Caller], list[Figure]]
"""A function that returns figures for the page of an organization; none of a list that the caller may not open."""


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """A move below this parent (None: to a root) that a caller looks at before it.

    `keeps_values` is as in `orgs.tree.move_options.MoveOptions`.
    """

    caller: Caller
    organization: Organization
    parent: Organization | None
    keeps_values: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """Sentences about a deed before it.

    If an effect changes, a person has to look again. Notes may change at any time, such as the jobs under way.
    """

    effects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: Said) -> Said:
        return Said([*self.effects, *other.effects], [*self.notes, *other.notes])


PreviewMove = Callable[[PlannedMove], Said]
"""A function that says what a move does to what belongs to another app."""
PreviewDeletion = Callable[[Caller, Organization], Said]
"""A function that says what goes with an organization and everything below it."""
PlanDeletion = Callable[[Caller, Organization], dict[str, Any]]
"""A function that returns the plan of a deletion as the API answers it."""
PlanMove = Callable[[PlannedMove], dict[str, Any]]
"""A function that returns the plan of a move as the API answers it."""
sections: list[OrganizationSection] = []
figures: list[FindFigures] = []
move_previews: list[PreviewMove] = []
move_plans: list[PlanMove] = []
deletion_previews: list[PreviewDeletion] = []
deletion_plans: list[PlanDeletion] = []
"""There is one plan of each."""


def said_of_move(planned: PlannedMove) -> Said:
    """Return the sentences of all apps about a move. The first says how many organizations move where."""
    parent = planned.parent
    target = f"below {parent.name} ({parent.key})" if parent else "to a new tree, as its root"
    count = planned.organization.descendant_count + 1
    moves = "1 organization moves" if count == 1 else f"{count:,} organizations move"
    return sum((preview(planned) for preview in move_previews), Said([f"{moves} {target}."]))


def said_of_deletion(caller: Caller, organization: Organization) -> Said:
    """Return the sentences of all apps about a deletion of the organization with everything below it."""
    return sum((preview(caller, organization) for preview in deletion_previews), Said())
