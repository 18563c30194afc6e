"""The period of the tests, and the figures of a report as plain values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils import timezone

from flags.reports.figures import Figures
from flags.reports.period import Period
from flags.reports.report_job import TYPES, ReportName
from flags.reports.scope import load_scope
from flagsite.core.db.snapshot import snapshot


def last_days(count: int) -> Period:
    """The last days, with today."""
    today = timezone.now().astimezone(UTC).date()
    return Period(today - timedelta(days=count - 1), today)


def at(day: date, hour: int = 12) -> datetime:
    """A time of a day."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def figures(name: str, period: Period, organization_id: int | None = None, *, details: bool = False) -> Figures:
    """The figures of a report."""
    with snapshot():
        return TYPES[ReportName(name)].figures_of(load_scope(organization_id), period, details=details)


def rows_of(report: Figures, table: str) -> list[tuple[Any, ...]]:
    """The rows of one of its tables."""
    return [tuple(row) for one in report.tables if one.name == table for row in one.rows]


def key_figures(report: Figures) -> dict[str, Any]:
    """The key figures by name."""
    return {figure.name: figure.value for figure in report.key_figures}
