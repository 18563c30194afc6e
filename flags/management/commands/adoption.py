"""Read the adoption of a flag."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.table import Column

from flags.insights.adoption import Adoption, adoption_of, shares_below
from flags.insights.serializers import AdoptionPage, AdoptionSerializer
from flags.insights.share_bars import variant_words
from flagsite.core.console import terminal
from flagsite.core.console.arguments import row_id
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.tree.console import everything

UNKNOWN = "too many to count here; read smaller subtrees"


class Command(OperatorCommand):
    help = (
        "Show for how many organizations a flag is on, and with which variants: all, or those of one subtree, "
        "and those below each child."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("--organization", metavar="ORG", help="the subtree of this organization (key or id)")
        parser.add_argument("--after", type=row_id, metavar="ID", help="the next children, after moreAfter of --json")

    def answer(self, *, flag: str, organization: str | None, after: int | None, **options: Any) -> Answer:
        adoption = adoption_of(everything(), flag, organization)
        top_id = adoption.organization.pk if adoption.organization else None
        shares, more = shares_below(everything(), adoption.flag, top_id, after)
        where = f"below and at {adoption.organization.key}" if adoption.organization else "in all organizations"
        output: list[Any] = [f"{flag} {where}: {_counts(adoption.on, adoption.off)}."]
        output += _notes(adoption)
        output += [reason.words for reason in adoption.reasons]
        columns = [Column("On", justify="right"), Column("Off", justify="right")]
        columns += [Column("Variants", overflow="fold")] if any(share.variants for share in shares) else []
        table = terminal.table("Organization", *columns)
        for share in shares:
            cells = [share.organization.key, _number(share.on), _number(share.off), variant_words(share.variants)]
            table.add_row(*terminal.cells(*cells[: 1 + len(columns)]))
        output += [table] if shares else []
        if more:
            output.append(f"There are more. --after {shares[-1].organization.pk} shows them.")
        return Answer(dict(AdoptionSerializer(AdoptionPage(adoption, shares, more)).data), output)


def _notes(adoption: Adoption) -> list[str]:
    """Say why the flag is off for everybody, which organizations differ, and when the organizations were counted."""
    counts, off = adoption.counts, adoption.off_for_everybody
    notes = [f"{adoption.minority}."] if adoption.minority else []
    if adoption.variants and not adoption.minority:  # else the minority tells the variants
        notes.append(f"Variants: {variant_words(adoption.variants)}.")
    if off and counts:
        stored = f"{counts.organizations_on:,} on, {counts.organizations_off:,} off"
        notes.append(f"{off.detail} Stored values: {stored}.")
    if counts and not adoption.organization:
        notes.append(f"Counted at {terminal.format_time(counts.counted_at)} UTC; each hour anew.")
    return notes


def _counts(on: int | None, off: int | None) -> str:
    return UNKNOWN if on is None or off is None else f"on for {on:,}, off for {off:,}"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
