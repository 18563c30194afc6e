"""Sections and previews that other apps add to the admin site's pages of organizations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orgs.access.caller import Caller
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class OrganizationSection:
    """A part of an organization's page: a template, and a function that returns its context."""

    template: str
    context: Callable[[Organization, Caller], dict[str, Any]]


PreviewMove = Callable[[Organization, Organization | None], list[str]]
"""A function that returns sentences about further effects of a move below this parent."""
sections: list[OrganizationSection] = []
move_previews: list[PreviewMove] = []
