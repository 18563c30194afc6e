"""The audit report: what was done in the period, by day, by actor and by action, and the entries themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date
from itertools import islice
from typing import Any

from django.db.models import Count, Max
from django.db.models.functions import TruncDate

from flags.reports.colours import BLUE
from flags.reports.figures import CellType, Chart, Column, Figures, KeyFigure, Row, Series, Table
from flags.reports.period import Period
from flags.reports.scope import ReportScope
from orgs.access.caller import Caller
from orgs.audit import selectors, words
from orgs.audit.selectors import Entries

TITLE = "Audit log"
CHARTED = 10
BLOCK_SIZE = 2000
"""Entries whose organizations are named with one query."""
COUNT, TIME = CellType.COUNT, CellType.TIME


def figures_of(scope: ReportScope, period: Period, *, details: bool) -> Figures:
    """Return the figures of the audit report. The entries are always in it, so `details` changes nothing."""
    entries = selectors.visible_entries(scope.caller).filter(at__gte=period.start, at__lt=period.end)
    total = entries.aggregate(
        entries=Count("id"), actors=Count("actor", distinct=True), organizations=Count("organization", distinct=True)
    )
    by_day = dict(
        entries.order_by().annotate(day=TruncDate("at", tzinfo=UTC)).values_list("day").annotate(count=Count("id"))
    )
    actors, actions = _groups(entries, "actor"), _groups(entries, "action")
    return Figures(
        key_figures=[
            KeyFigure("entries", "Audit entries", total["entries"]),
            KeyFigure("actors", "Actors", total["actors"]),
            KeyFigure("actions", "Kinds of actions", len(actions)),
            KeyFigure("organizations", "Organizations concerned", total["organizations"]),
        ],
        charts=_charts(period, by_day, actors, actions),
        tables=[
            _group_table("actors", "Actors", Column("actor", "Actor", width=4), actors),
            _group_table("actions", "Actions", Column("action", "Action", width=4), actions),
            _day_table(period, by_day),
            _entry_table(entries, scope.caller, total["entries"]),
        ],
        is_empty=not total["entries"],
    )


def _groups(entries: Entries, column: str) -> list[Row]:
    """Return each value of a column with its number of entries and the time of the last, most entries first."""
    groups = entries.order_by().values_list(column).annotate(count=Count("id"), last=Max("at"))
    return list(groups.order_by("-count", column))


def _charts(period: Period, by_day: dict[date, int], actors: Sequence[Row], actions: Sequence[Row]) -> list[Chart]:
    days = Chart(
        "Audit entries by day",
        [day.isoformat() for day in period.days],
        [Series("Audit entries", BLUE, [by_day.get(day, 0) for day in period.days])],
        is_over_time=True,
    )
    return [
        days,
        *(
            Chart(
                title, [row[0] for row in rows[:CHARTED]], [Series("Entries", BLUE, [row[1] for row in rows[:CHARTED]])]
            )
            for title, rows in (("Most frequent actions", actions), ("Busiest actors", actors))
        ),
    ]


def _group_table(name: str, title: str, column: Column, rows: Sequence[Row]) -> Table:
    columns = [column, Column("entries", "Audit entries", COUNT), Column("lastAt", "Last (UTC)", TIME, 1.5)]
    return Table(name, title, columns, rows, len(rows))


def _day_table(period: Period, by_day: dict[date, int]) -> Table:
    columns = [Column("day", "Day (UTC)", CellType.DAY), Column("entries", "Audit entries", COUNT)]
    return Table("days", "Days", columns, [(day, by_day.get(day, 0)) for day in period.days], len(period.days))


def _entry_table(entries: Entries, caller: Caller, count: int) -> Table:
    columns = [
        Column("id", "Number", CellType.NUMBER),
        Column("at", "At (UTC)", TIME, 1.2),
        Column("actor", "Actor", width=1.5),
        Column("action", "Action", width=1.6),
        Column("subject", "Subject", width=1.5),
        Column("organization", "Organization", width=2),
        Column("changes", "Changes", width=2),
        Column("reason", "Reason", width=1.3),
        Column("channel", "Channel", width=1.1),
    ]
    return Table("entries", "Audit entries", columns, _entry_rows(entries, caller), count)


def _entry_rows(entries: Entries, caller: Caller) -> Iterator[Row]:
    rows: Iterator[Any] = entries.order_by("at", "id").iterator(chunk_size=BLOCK_SIZE)
    while block := list(islice(rows, BLOCK_SIZE)):
        for one in words.shown(block, caller):
            entry = one.entry
            yield (
                entry.pk, entry.at, entry.actor, entry.action, entry.subject, one.where, "; ".join(one.changes),
                entry.reason, entry.via,
            )  # fmt: skip
