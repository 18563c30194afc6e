"""When a recurring change comes next, whatever the clocks of its zone do; and how long a failed one waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.errors import InvalidSchedule
from flags.schedules import backoff
from flags.schedules.recurrence import recurrence, zone_named

ZONES = ["UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo",
         "Pacific/Apia", "Africa/Casablanca", "America/Havana"]  # fmt: skip
BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 25 * 365 * 24 * 60).map(lambda minutes: BEGINNING + timedelta(minutes=minutes))
HOURS = st.lists(st.integers(0, 23), min_size=1, max_size=4, unique=True)


def slots(cron: str, zone: str, after: str, count: int) -> list[str]:
    moment, found = datetime.fromisoformat(after), []
    for _ in range(count):
        moment = recurrence(cron, zone).after(moment)
        found.append(moment.strftime("%m-%dT%H:%MZ"))
    return found


@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 59), HOURS)
def test_the_next_slot_is_ahead_and_no_slot_is_between(
    moment: datetime, zone: str, minute: int, hours: list[int]
) -> None:
    pattern = recurrence(f"{minute} {','.join(map(str, hours))} * * *", zone)
    found = pattern.after(moment)
    assert moment < found <= moment + timedelta(days=2, hours=2)
    assert pattern.after(found - timedelta(microseconds=1)) == found
    assert pattern.after(moment + (found - moment) / 2) == found


@given(MOMENTS, st.sampled_from(sorted({*ZONES} - {"Pacific/Apia"})), st.integers(0, 59), st.integers(0, 23))
def test_a_daily_one_comes_once_a_day_even_when_the_clocks_change(
    moment: datetime, zone: str, minute: int, hour: int
) -> None:
    pattern = recurrence(f"{minute} {hour} * * *", zone)
    place = ZoneInfo(zone)
    first = pattern.after(moment)
    days = []
    for _ in range(400):
        local = first.astimezone(place)
        days.append(local.date())
        assert (local.hour, local.minute) == (hour, minute) or not _is_shown(local, hour, minute)
        first = pattern.after(first)
    assert len(set(days)) == 400
    assert (days[-1] - days[0]).days == 399


def _is_shown(local: datetime, hour: int, minute: int) -> bool:
    wanted = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return wanted.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == wanted.replace(tzinfo=None)


def test_a_time_that_is_skipped_comes_at_the_skip_and_one_shown_twice_the_first_time() -> None:
    assert slots("30 2 * * *", "Europe/Oslo", "2026-03-28T00:00Z", 3) == [
        "03-28T01:30Z", "03-29T01:00Z", "03-30T00:30Z",
    ]  # fmt: skip
    assert slots("30 2 * * *", "Europe/Oslo", "2026-10-24T00:00Z", 3) == [
        "10-24T00:30Z", "10-25T00:30Z", "10-26T01:30Z",
    ]  # fmt: skip
    assert slots("*/30 2,3 * * *", "Europe/Oslo", "2026-03-29T00:00Z", 3) == [
        "03-29T01:00Z", "03-29T01:30Z", "03-30T00:00Z",
    ]  # fmt: skip


def test_a_day_that_a_zone_has_left_out_comes_at_its_end() -> None:
    assert slots("30 8 * * *", "Pacific/Apia", "2011-12-29T00:00Z", 3) == [  # Samoa had no 30 December 2011
        "12-29T18:30Z", "12-30T10:00Z", "12-30T18:30Z",
    ]  # fmt: skip


def test_days_are_read_as_cron_reads_them() -> None:
    assert slots("0 0 13 * fri", "UTC", "2026-02-12T00:00Z", 3) == ["02-13T00:00Z", "02-20T00:00Z", "02-27T00:00Z"]
    assert slots("0 0 * * 7", "UTC", "2026-02-12T00:00Z", 1) == ["02-15T00:00Z"]
    assert slots("0 0 1 jan-mar/2 *", "UTC", "2026-02-12T00:00Z", 2) == ["03-01T00:00Z", "01-01T00:00Z"]
    assert slots("0 0 29 2 *", "UTC", "2026-02-12T00:00Z", 1) == ["02-29T00:00Z"]


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("7", {0}), ("6,7", {0, 6}), ("5-7", {0, 5, 6}), ("fri-7", {0, 5, 6}), ("7-2", {0, 1, 2}), ("7-7", {0}),
        ("1-7", {*range(7)}), ("0-7", {*range(7)}), ("sun-7", {*range(7)}), ("1-7/2", {0, 1, 3, 5}),
        ("0-7/2", {0, 2, 4, 6}), ("7,1-2", {0, 1, 2}), ("fri-sun", {0, 5, 6}), ("*/3", {0, 3, 6}),
    ],
)  # fmt: skip
def test_sunday_is_0_and_7_wherever_it_stands(field: str, days: set[int]) -> None:
    assert recurrence(f"0 0 * * {field}", "UTC").weekdays == days


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "@daily",
        "0 0 31 2 *",
        "a b c d e",
        "*/0 * * * *",
        "٣ * * * *",
        "-1 * * * *",
        "0 0 * * 8",
        "0 0 * * 5-8",
    ],
)
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(InvalidSchedule):
        recurrence(cron, "UTC")


@pytest.mark.parametrize(
    "name", ["localtime", "posixrules", "posix/Europe/Oslo", "right/UTC", "europe/oslo", "Europe", "", "/etc/localtime"]
)
def test_what_is_no_name_of_a_zone_everywhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule, match="There is no time zone"):
        zone_named(name)


@pytest.mark.parametrize("name", ["Europe/Oslo", "Asia/Calcutta", "US/Eastern", "GMT", "Etc/GMT+5"])
def test_old_names_of_zones_are_names_too(name: str) -> None:
    assert zone_named(name).key == name


def test_a_day_that_comes_too_late_is_refused() -> None:
    sundays = recurrence("0 0 29 2 */7", "UTC")  # 29 February on a Sunday
    with pytest.raises(InvalidSchedule, match="nine years"):
        sundays.after(datetime(2033, 1, 1, tzinfo=UTC))


@given(st.integers(0, 10_000))
def test_a_retry_waits_twice_as_long_each_time_up_to_an_hour_with_half_a_minute_of_jitter(retries: int) -> None:
    least = min(timedelta(minutes=2 ** min(retries + 1, 10)), timedelta(hours=1))
    assert least <= backoff.wait(retries) <= least + timedelta(seconds=30)


def test_the_jitter_spreads() -> None:
    assert len({backoff.wait(0) for _ in range(100)}) > 50


@pytest.mark.parametrize(
    "cron",
    [
        "0 9 * * mon#1", "0 9 * * SUN#2", "0 9 * * tue#2", "0 9 * * mon-fri#1", "0 9 * * 1#1", "0 9 L * *",
        "0 9 15W * *", "0 9 ? * mon", "0 9 * janx *", "0 9 * * mondayish", "0 9,, * * *", "0 9 * * mon-", "*/0 * * * *",
        "5/10 * * * *", "@daily 0 0 0 0", "0 9 * * mon,tue#2", "0 9 * jan#1 *", "0x1 9 * * *", "1_0 9 * * *",
    ],
)  # fmt: skip
def test_what_is_not_understood_whole_is_refused_with_what_is_understood(cron: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        recurrence(cron, "UTC")
    assert "A part is *, a number, " in refused.value.detail


@pytest.mark.parametrize(
    "cron", ["*/61 * * * *", "0 */25 * * *", "0 0 */32 * *", "0 0 1 */13 *", "0 0 * * */8", "0-9/90 * * * *"]
)
def test_a_step_that_is_longer_than_its_field_is_refused(cron: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        recurrence(cron, "UTC")
    assert "is too long for the field" in refused.value.detail


@pytest.mark.parametrize(
    "cron",
    [
        "*/60 */24 */31 */12 */7",
        "0 9 * * mon",
        "0 9 * * MON-fri",
        "0 9 * * monday",
        "*/15 0-6/2 1,15 jan,Jul-sep sun,2-4",
        "0 0 * * 7",
        "0 0 * * 5-7",
    ],
)
def test_what_is_understood_is_taken(cron: str) -> None:
    assert recurrence(cron, "UTC")
