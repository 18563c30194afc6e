"""The figures of the audit report are those of the audit log, within the period and the subtree."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from conftest import Cast
from flags.tests.reports.periods import at, figures, key_figures, last_days, rows_of
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
PERIOD = last_days(3)


@pytest.fixture
def entries(cast: Cast) -> list[AuditEntry]:
    """Entries of four days, of which the first is before the period."""
    days = [PERIOD.first - timedelta(days=1), *PERIOD.days]
    made = [
        AuditEntry(
            at=at(day, hour), actor=f"user:{actor}", action=action, subject="flag:x", via="admin",
            organization_id=organization.pk, details={"before": False, "enabled": True},
        )
        for day in days
        for hour, (actor, action, organization) in enumerate(
            [("alice", "flag.set", cast.oslo), ("bob", "flag.set", cast.acme), ("bob", "job.retry", cast.rival_store)]
        )
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM orgs_historyentry")
        last = cursor.fetchone()[0]
    AuditEntry.objects.bulk_create(made)
    return list(AuditEntry.objects.filter(pk__gt=last).order_by("at", "id"))


def test_entries_are_counted_by_day_actor_and_action(cast: Cast, entries: list[AuditEntry]) -> None:
    report = figures("audit", PERIOD, cast.acme.pk)
    expected = [
        entry for entry in entries if entry.at >= PERIOD.start and entry.organization_id in {cast.oslo.pk, cast.acme.pk}
    ]
    assert key_figures(report) == {"entries": 6, "actors": 2, "actions": 1, "organizations": 2}
    for table, column in (("actors", "actor"), ("actions", "action")):
        counted = {row[0]: row[1] for row in rows_of(report, table)}
        assert counted == Counter(getattr(entry, column) for entry in expected)
    assert [row[1] for row in rows_of(report, "days")] == [2, 2, 2]
    assert [row[0] for row in rows_of(report, "entries")] == [entry.pk for entry in expected]


def test_entries_have_words_and_paths_that_begin_at_the_organization(cast: Cast, entries: list[AuditEntry]) -> None:
    rows = rows_of(figures("audit", PERIOD, cast.north.pk), "entries")
    assert {(row[5], row[6]) for row in rows} == {("North › Oslo", "off → on")}


def test_the_report_on_everything_has_every_entry_of_the_period(cast: Cast, entries: list[AuditEntry]) -> None:
    report = figures("audit", PERIOD)
    expected = AuditEntry.objects.filter(at__gte=PERIOD.start, at__lt=PERIOD.end)
    assert key_figures(report)["entries"] == expected.count() == len(rows_of(report, "entries"))


def test_a_period_without_entries_is_empty(cast: Cast) -> None:
    report = figures("audit", PERIOD, cast.rival.pk)
    assert report.is_empty
    assert rows_of(report, "entries") == []
