"""Find organizations."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet
from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from orgs.access.visible_organizations import find_organization, matching, subtree_ordered_by_id, visible_ancestors
from orgs.tree.browser import with_paths
from orgs.tree.console import everything
from orgs.tree.models import Organization
from orgs.tree.serializers import OrganizationSerializer

MAX_LIMIT = 100_000


class Command(OperatorCommand):
    help = "Find organizations, by id. Without options, it lists all of them."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--key", help="the organization with exactly this key")
        parser.add_argument("--name", metavar="PART", help="a part of the name, in upper or lower case")
        parser.add_argument("--parent", metavar="ORG", help="the children of this organization (key or id), or root")
        place = parser.add_mutually_exclusive_group()
        place.add_argument("--above", metavar="ORG", help="the organizations above this one, root first")
        place.add_argument("--below", metavar="ORG", help="the organizations below this one, at all levels")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, limit: int, **options: Any) -> Answer:
        with snapshot():
            rows = list(_found(**options)[: limit + 1])
            organizations, more = rows[:limit], len(rows) > limit
            paths = with_paths(everything(), organizations)
        table = terminal.table(
            Column("Id", no_wrap=True, justify="right"), "Key", "Path", Column("Below", justify="right")
        )
        for one, path in paths:
            table.add_row(*terminal.cells(str(one.pk), one.key, path, f"{one.descendant_count:,}"))
        output: list[Any] = [table] if organizations else ["No organization matches."]
        output += [f"There are more than {limit:,}. A higher --limit shows more."] if more else []
        return Answer({"results": OrganizationSerializer(organizations, many=True).data, "more": more}, output)


def _found(
    *, key: str | None, name: str | None, parent: str | None, above: str | None, below: str | None, **_: Any
) -> QuerySet[Organization]:
    filters: dict[str, Any] = {name: text for name, text in (("key", key), ("name", name)) if text is not None}
    if parent is not None:
        filters["parent"] = None if parent == "root" else find_organization(parent).pk
    if above is not None:
        rows = visible_ancestors(everything(), find_organization(above)).order_by("level")
    elif below is not None:
        top = find_organization(below)
        rows = subtree_ordered_by_id(top).exclude(pk=top.pk)
    else:
        rows = Organization.objects.order_by("id")
    return matching(rows, filters)
