"""The figures of the usage report are those that one counts by hand, for all organizations and for one subtree."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights import usage_buffer, usage_store
from flags.insights.models import FlagUseDay
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.tests.reports.periods import at, figures, key_figures, last_days, rows_of
from jobs.engine.runner import run_next

pytestmark = pytest.mark.django_db
PERIOD = last_days(5)
FLAGS = ("checkout", "search", "unused")


@pytest.fixture
def used(cast: Cast) -> Counter[tuple[str, int, str]]:
    """Random evaluations of two flags, and of all at once: by day, organization and flag ("" for all flags)."""
    for key in FLAGS:
        Flag.objects.create(key=key, enabled=key == "search")
    Flag.objects.update(created_at=at(PERIOD.first) - timedelta(days=30))
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True)
    while run_next("propagation"):
        pass
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=False)
    set_flag(organization_id=cast.oslo.pk, flag_key="search", enabled=True)  # else nobody of north sees this flag
    choose = random.Random(17)
    counts: Counter[tuple[str, int, str]] = Counter()
    days = [PERIOD.first - timedelta(days=1), *PERIOD.days]
    for _ in range(200):
        day = choose.choice(days)
        organization = choose.choice([*cast.of_acme, cast.rival, cast.rival_store]).pk
        flag, evaluations = choose.choice(["checkout", "search"]), choose.randint(1, 50)
        usage_store._add([usage_buffer.BufferedUsage(organization, flag, evaluations, int(at(day, 0).timestamp()))])
        counts[str(day), organization, flag] += evaluations
    return counts


def below(cast: Cast) -> dict[int | None, set[int]]:
    """The organizations of two reports: everything, and north with what is below it."""
    everything = {organization.pk for organization in [*cast.of_acme, cast.rival, cast.rival_store]}
    return {None: everything, cast.north.pk: {cast.north.pk, cast.oslo.pk, cast.bergen.pk}}


def test_evaluations_are_those_of_the_days_and_organizations(cast: Cast, used: Counter[tuple[str, int, str]]) -> None:
    days = {str(day) for day in PERIOD.days}
    for top, organizations in below(cast).items():
        expected: Counter[tuple[str, str]] = Counter()
        for (day, organization, flag), count in used.items():
            if day in days and organization in organizations:
                expected[day, flag] += count
        report = figures("usage", PERIOD, top)
        assert {(str(day), flag): count for day, flag, count in rows_of(report, "flagDays")} == expected
        assert key_figures(report)["evaluationsByName"] == expected.total()
        by_flag = {row[0]: row[2] for row in rows_of(report, "flags")}
        assert by_flag["checkout"] == sum(count for (_, flag), count in expected.items() if flag == "checkout")
        by_day = {str(row[0]): row[1] for row in rows_of(report, "days")}
        assert by_day == {day: sum(n for (at_, _), n in expected.items() if at_ == day) for day in days}


def test_adoption_counts_stored_values_and_the_default_where_nothing_is_stored(
    cast: Cast, used: Counter[tuple[str, int, str]]
) -> None:
    for top, organizations in below(cast).items():
        stored = dict(
            FlagState.objects.filter(flag__key="checkout", organization_id__in=organizations).values_list(
                "organization_id", "enabled"
            )
        )
        shown = {row[0]: row[4:6] for row in rows_of(figures("usage", PERIOD, top), "flags")}
        on = sum(stored.get(organization, False) for organization in organizations)
        assert shown["checkout"] == (on, len(organizations) - on)
        if top is None:
            assert shown["search"] == (len(organizations), 0)


def test_a_killed_flag_is_on_nowhere(cast: Cast, used: Counter[tuple[str, int, str]]) -> None:
    service.update(key="checkout", values={"killed": True}, by="user:olga")
    row = next(row for row in rows_of(figures("usage", PERIOD), "flags") if row[0] == "checkout")
    assert (row[1], row[4], row[6]) == ("killed", 0, 0)


def test_flags_without_an_evaluation_are_listed(cast: Cast, used: Counter[tuple[str, int, str]]) -> None:
    report = figures("usage", PERIOD)
    assert [row[0] for row in rows_of(report, "unusedFlags")] == ["unused"]
    assert key_figures(report)["flagsNotUsed"] == 1
    moment = int(at(PERIOD.first).timestamp())
    usage_store._add([usage_buffer.BufferedUsage(cast.oslo.pk, None, 4, moment)])
    report = figures("usage", PERIOD)
    assert rows_of(report, "unusedFlags") == []
    assert key_figures(report)["evaluationsOfAllFlags"] == 4


def test_a_flag_that_is_newer_than_the_evaluations_of_all_flags_is_not_used(cast: Cast) -> None:
    Flag.objects.create(key="new")
    FlagUseDay.objects.create(day=PERIOD.first, organization_id=cast.oslo.pk, flag_id=0, evaluations=3)
    assert [row[0] for row in rows_of(figures("usage", PERIOD), "unusedFlags")] == ["new"]


def test_a_subtree_sees_neither_other_flags_nor_what_is_above(cast: Cast, used: Counter[tuple[str, int, str]]) -> None:
    set_flag(organization_id=cast.rival_store.pk, flag_key="secret-of-rival", enabled=True)
    report = figures("usage", PERIOD, cast.north.pk, details=True)
    assert {row[0] for row in rows_of(report, "flags")} == {"checkout", "search"}
    states = rows_of(report, "states")
    assert [(row[1], row[3], row[4], row[5]) for row in states] == [
        ("north", "checkout", "on", "above"),
        ("oslo", "checkout", "off", "oslo"),
        ("oslo", "search", "on", "oslo"),
        ("bergen", "checkout", "on", "above"),
    ]
    table = next(table for table in report.tables if table.name == "states")
    assert table.count == len(states)


def test_the_flag_states_of_all_organizations_are_those_of_the_table(
    cast: Cast, used: Counter[tuple[str, int, str]]
) -> None:
    report = figures("usage", PERIOD, details=True)
    expected = FlagState.objects.order_by("organization_id", "flag_id").values_list(
        "organization_id", "flag__key", "enabled"
    )
    assert [(row[0], row[3], row[4] == "on") for row in rows_of(report, "states")] == list(expected)


def test_a_period_before_what_is_kept_says_so(cast: Cast, settings: object) -> None:
    assert figures("usage", PERIOD).notes == []
    assert "are kept since" in figures("usage", last_days(100)).notes[0]
    assert figures("usage", last_days(100)).is_empty
