"""The options by which commands select jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import since
from jobs.operations.selection import Selection
from orgs.access.organizations import find_organization_by_key_or_id


def add_selection(parser: CommandParser) -> None:
    """--organization, --queue, --since."""
    parser.add_argument("--organization", metavar="ORG", help="key or id; it and everything below it")
    parser.add_argument("--queue", default="", help="those of one queue")
    parser.add_argument("--since", type=since, metavar="TIME", help="30m, 2h, 7d ago, or an ISO date or time in UTC")


def selection_in(
    *, organization: str | None, queue: str, since: Any, status: str = "", flag: str = "", kind: str = "", **_: Any
) -> Selection:
    """What the options select. Raises OrganizationNotFound, UnknownQueue, UnknownKind."""
    top = find_organization_by_key_or_id(organization) if organization else None
    selection = Selection(status=status, organization=top, queue=queue, flag=flag, kind=kind, since=since)
    selection.check()
    return selection
