"""The command flags_stale: list stale flags, for people and for CI."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from rich.table import Column, Table

from flags.insights import adoption_counts, staleness
from flags.insights.staleness import StaleFlag
from flags.insights.usage_store import Usage
from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.access.models import Role

OPERATOR = Caller("command", Role.ADMIN)
"""The caller of commands, who sees all organizations."""


class Command(OperatorCommand):
    help = (
        "List stale flags: flags that nobody evaluates, flags that have long had the same value for everybody, and "
        "expired flags. The command counts the adoption of all flags first."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--fail", action="store_true", help="exit with status 1 if there are stale flags, for CI")
        parser.add_argument(
            "--days", type=_days, metavar="N", help="the period to look back, instead of FLAG_STALE_DAYS"
        )

    def answer(self, *, fail: bool, days: int | None, **options: Any) -> Answer:
        adoption_counts.count_adoption()
        stale_flags = staleness.stale_flags(OPERATOR, days=days)
        days = settings.FLAG_STALE_DAYS if days is None else days
        document = {"days": days, "results": [_document(stale) for stale in stale_flags]}
        output = [_table(stale_flags)] if stale_flags else [f"No flag is stale. The period is {counted(days, 'day')}."]
        return Answer(document, output, failed=fail and bool(stale_flags))


def _days(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < int(word) <= 36_500):  # noqa: PLR2004 - a hundred years
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of days from 1 to 36500.")
    return int(word)


def _document(stale: StaleFlag) -> dict[str, Any]:
    usage = stale.usage or Usage()
    return {
        "name": stale.flag.key,
        "kind": stale.flag.kind,
        "owner": stale.flag.owner,
        "reasons": [{"reason": reason.cause, "detail": reason.words} for reason in stale.reasons],
        "holdOuts": stale.minority or None,
        "evaluationsByName": usage.by_name.evaluations,
        "lastEvaluatedByNameAt": terminal.iso(usage.by_name.last),
        "lastEvaluatedWithAllAt": terminal.iso(usage.with_all.last),
    }


def _table(stale_flags: list[StaleFlag]) -> Table:
    table = terminal.table(
        Column("Flag", no_wrap=True), Column("Owner", no_wrap=True), Column("Why", overflow="fold"),
        Column("Evaluated by name (UTC)", no_wrap=True), Column("Minority", overflow="fold"),
    )  # fmt: skip
    for stale in stale_flags:
        why = " ".join(reason.words for reason in stale.reasons)
        asked = terminal.format_time((stale.usage or Usage()).by_name.last) or "never"
        table.add_row(*terminal.cells(stale.flag.key, stale.flag.owner, why, asked, stale.minority))
    return table
