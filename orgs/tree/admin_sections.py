"""What the apps above add to an organization's pages in the admin site, which know nothing of flags themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orgs.access.caller import Caller
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an organization's page: a template, and a function that gives it what it shows."""

    template: str
    context: Callable[[Organization, Caller], dict[str, Any]]


PreviewMove = Callable[[Organization, Organization | None], list[str]]
"""Sentences on what a move below that parent would bring besides the move itself."""
sections: list[Section] = []
move_previews: list[PreviewMove] = []
