"""Sections, figures and previews that other apps add to the admin site's pages of organizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
PreviewMove = Callable[[Organization, Organization | None], list[str]]
"""A function that returns sentences about further effects of a move below this parent."""
sections: list[OrganizationSection] = []
figures: list[FindFigures] = []
move_previews: list[PreviewMove] = []
