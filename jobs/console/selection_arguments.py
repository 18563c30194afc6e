"""The options with which commands select jobs."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import since
from jobs.operations.job_operations import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.operations.selection import Selection
from orgs.access.visible_organizations import find_organization


def add_selection(parser: CommandParser) -> None:
    """Add the options --organization, --queue and --since."""
    parser.add_argument("--organization", metavar="ORG", help="jobs of the subtree of this organization (key or id)")
    parser.add_argument("--queue", default="", help="jobs of this queue")
    parser.add_argument("--since", type=since, metavar="TIME", help="30m, 2h, 7d ago, or an ISO date or time in UTC")


def selection_in(
    *, organization: str | None, queue: str, since: Any, status: str = "", flag: str = "", kind: str = "", **_: Any
) -> Selection:
    """The selection that the options describe. Raises OrganizationNotFound, UnknownQueue and UnknownKind."""
    top = find_organization(organization) if organization else None
    selection = Selection(status=status, organization=top, queue=queue, flag=flag, kind=kind, since=since)
    selection.check()
    return selection


def priority(text: str) -> int:
    """Parse a priority. Raises ArgumentTypeError for any other text."""
    try:
        number = int(text)
    except ValueError:
        number = HIGHEST_PRIORITY + 1
    if not LOWEST_PRIORITY <= number <= HIGHEST_PRIORITY:
        raise ArgumentTypeError(f"{text!r} is not a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}.")
    return number
