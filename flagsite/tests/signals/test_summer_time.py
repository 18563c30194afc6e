"""When beat sends periodic tasks while the clocks of their time zone change: each slot once, by the wall clock.

The tests walk through the nights of both changes as beat does: they ask again and again whether the crontab is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from flagsite.periodic_tasks import scheduled

STEP = timedelta(minutes=5)


def sent(crontab: str, zone: str, begin: str, hours: int) -> Iterator[str]:
    """The times in UTC at which beat sends a task with this crontab, to five minutes."""
    minute, hour = crontab.split()
    schedule = CrontabSchedule(minute=minute, hour=hour, timezone=zone).schedule
    last = moment = datetime.fromisoformat(f"{begin}Z")
    end = moment + timedelta(hours=hours)
    while moment < end:
        schedule.nowfun = lambda moment=moment: moment.astimezone(ZoneInfo(zone))
        if schedule.is_due(last).is_due:
            last = moment
            yield f"{moment:%m-%dT%H:%M}"
        moment += STEP


@pytest.mark.parametrize(
    ("crontab", "zone", "begin", "times"),
    [  # the clocks go forward: 2:30 does not exist, and comes an hour later by the wall
        ("30 2", "Europe/Oslo", "2026-03-28T00:00", ["03-28T01:30", "03-29T01:30", "03-30T00:30"]),
        ("30 2", "America/New_York", "2026-03-07T00:00", ["03-07T07:30", "03-08T07:30", "03-09T06:30"]),
        ("15 2", "Australia/Lord_Howe", "2026-10-03T00:00", ["10-03T15:45", "10-04T15:15", "10-05T15:15"]),
        # the clocks go back: 2:30 comes twice, and counts once
        ("30 2", "Europe/Oslo", "2026-10-24T00:00", ["10-24T00:30", "10-25T00:30", "10-26T01:30"]),
        ("30 1", "America/New_York", "2026-10-31T00:00", ["10-31T05:30", "11-01T05:30", "11-02T06:30"]),
        # other hours of these days
        ("0 9", "Europe/Oslo", "2026-03-28T00:00", ["03-28T08:00", "03-29T07:00", "03-30T07:00"]),
        ("0 9", "Europe/Oslo", "2026-10-24T00:00", ["10-24T07:00", "10-25T08:00", "10-26T08:00"]),
        # a zone whose clocks do not change
        ("30 2", "Asia/Kathmandu", "2026-03-28T00:00", ["03-28T20:45", "03-29T20:45", "03-30T20:45"]),
    ],
)
def test_a_daily_task_comes_once_a_day_when_the_clocks_change(
    crontab: str, zone: str, begin: str, times: list[str]
) -> None:
    assert list(sent(crontab, zone, begin, hours=72)) == times


def test_an_hourly_task_misses_no_hour_in_spring_and_counts_the_doubled_hour_once() -> None:
    spring = [f"03-29T0{hour}:15" for hour in range(5)]
    assert list(sent("15 *", "Europe/Oslo", "2026-03-29T00:00", hours=5)) == spring
    autumn = ["10-25T00:15", "10-25T02:15", "10-25T03:15", "10-25T04:15"]
    assert list(sent("15 *", "Europe/Oslo", "2026-10-25T00:00", hours=5)) == autumn
    every = [f"10-25T0{hour}:15" for hour in range(5)]
    assert list(sent("15 *", "UTC", "2026-10-25T00:00", hours=5)) == every


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-28T12:00", "2026-03-29T01:30"),
        ("2026-10-24T12:00", "2026-10-25T00:30"),
        ("2026-10-25T00:31", "2026-10-26T01:30"),
        ("2026-03-29T01:31", "2026-03-30T00:30"),
    ],
)
def test_the_time_that_is_shown_for_the_next_run_is_the_one_at_which_beat_sends(
    now: str, due: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime.fromisoformat(f"{now}Z")
    crontab = CrontabSchedule(minute="30", hour="2", timezone="Europe/Oslo")
    task = PeriodicTask(name="nightly", crontab=crontab, enabled=True, last_run_at=moment)
    schedule = crontab.schedule
    schedule.nowfun = lambda: moment.astimezone(ZoneInfo("Europe/Oslo"))
    monkeypatch.setattr(CrontabSchedule, "schedule", property(lambda _: schedule))
    monkeypatch.setattr(scheduled.timezone, "now", lambda: moment)
    assert scheduled.next_run_at(task) == datetime.fromisoformat(f"{due}Z").astimezone(UTC)
