"""List where flags are set, locked or exempt."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rest_framework.renderers import JSONRenderer
from rich.table import Column, Table

from flags.definitions.service import flag_called
from flags.states.listed_settings import (
    LISTED_KINDS,
    ListedSetting,
    settings_of_flag,
    settings_of_organization,
    with_places,
)
from flags.states.listed_settings_serializers import ListedSettingSerializer
from flagsite.core.console import terminal
from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand, me
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization

MAX_LIMIT = 10_000


class Command(OperatorCommand):
    help = (
        "List where a flag is set, locked or exempt, in all trees or at and below an organization; or, without --flag, "
        "what is set on exactly this organization."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--flag", metavar="FLAG", default="", help="the settings of this flag")
        parser.add_argument("--organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("--kind", choices=LISTED_KINDS, default="", help="only sets, locks, or exemptions")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, flag: str, organization: str | None, kind: str, limit: int, **options: Any) -> Answer:
        with snapshot():
            where = find_organization(organization) if organization else None
            if flag:
                matches = settings_of_flag(flag_called(flag), where, kind)
            elif where is not None:
                matches = settings_of_organization(where, kind)
            else:
                raise CommandError("Write --flag or --organization, or both.")
            rows = list(matches[: limit + 1])
            listed = with_places(Caller(me(), Role.ADMIN), rows[:limit])
        documents = json.loads(JSONRenderer().render(ListedSettingSerializer(listed, many=True).data))
        output: list[Any] = [_table(listed)] if listed else ["Nothing is set there."]
        more = len(rows) > limit
        output += [f"There are more than {limit:,}. A higher --limit shows more."] if more else []
        return Answer({"results": documents, "more": more}, output)


def _table(listed: list[ListedSetting]) -> Table:
    table = terminal.table(
        Column("Organization", overflow="fold"), Column("Flag", overflow="fold"), Column("Setting", overflow="fold"),
        Column("Until (UTC)", no_wrap=True), Column("By", overflow="fold"), Column("Reason", overflow="fold"),
    )  # fmt: skip
    for each in listed:
        until = each.setting.expires_at or each.setting.exempt_until
        place = f"{each.organization.key} (id {each.organization.pk})"
        table.add_row(
            *terminal.cells(
                place, each.flag_key, each.in_words, terminal.format_time(until), each.setting.requested_by,
                each.setting.reason,
            )
        )  # fmt: skip
    return table
