"""When the scheduler takes a slot for due, and who gets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import ModelEntry

from flagsite.beat import OneAtATimeScheduler, RunAlreadyTaken
from flagsite.celery import app
from jobs.engine.models import Job
from jobs.operations import cleanup

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def daily(transactional_db: None) -> PeriodicTask:
    """The daily clean-up, two days overdue."""
    PeriodicTask.objects.all().delete()
    midnight = CrontabSchedule.objects.create(minute="0", hour="0", timezone="UTC")
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    return PeriodicTask.objects.create(
        name="daily", task="jobs.clean_up", crontab=midnight, last_run_at=two_days_ago, total_run_count=5
    )


@pytest.fixture
def scheduler() -> Any:
    made = OneAtATimeScheduler(app=app)
    yield made
    made.close()


def clean_ups() -> int:
    return Job.objects.filter(kind=cleanup.KIND).count()


def test_a_slot_that_was_missed_is_made_up_for_at_any_hour_once(scheduler: OneAtATimeScheduler) -> None:
    for _ in range(3):
        scheduler.tick()
    assert clean_ups() == 1
    daily = PeriodicTask.objects.get(name="daily")
    assert daily.total_run_count == 6
    assert daily.last_run_at is not None
    assert datetime.now(UTC) - daily.last_run_at < timedelta(minutes=1)


def test_two_that_both_believe_to_be_at_work_use_a_slot_once(scheduler: OneAtATimeScheduler) -> None:
    entries = [ModelEntry(PeriodicTask.objects.get(name="daily"), app=app) for _ in range(2)]
    scheduler.read_schedule_again()
    scheduler.send(entries[0])
    with pytest.raises(RunAlreadyTaken):
        scheduler.send(entries[1])
    assert clean_ups() == 1
    assert PeriodicTask.objects.get(name="daily").total_run_count == 6


def test_a_slot_whose_job_could_not_be_written_is_still_due(
    scheduler: OneAtATimeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(cleanup, "request", mock.Mock(side_effect=OperationalError("gone")))
        scheduler.tick()
    assert PeriodicTask.objects.get(name="daily").total_run_count == 5
    scheduler.tick()
    assert clean_ups() == 1


def test_one_that_cannot_be_sent_keeps_none_of_the_others_from_it(scheduler: OneAtATimeScheduler) -> None:
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    long_ago = datetime.now(UTC) - timedelta(days=3)
    PeriodicTask.objects.create(name="a broken one", task="no.such.task", interval=second, last_run_at=long_ago)
    with mock.patch.object(app, "signature", side_effect=ValueError("no such task")):
        for _ in range(4):
            scheduler.tick()
    assert clean_ups() == 1


def test_nothing_is_sent_for_a_task_that_was_disabled_meanwhile(scheduler: OneAtATimeScheduler) -> None:
    entry = ModelEntry(PeriodicTask.objects.get(name="daily"), app=app)
    PeriodicTask.objects.filter(name="daily").update(enabled=False)
    scheduler.read_schedule_again()
    with pytest.raises(RunAlreadyTaken):
        scheduler.send(entry)
    assert clean_ups() == 0


def test_a_beat_that_was_there_before_its_tasks_sends_them_at_the_next_tick(
    scheduler: OneAtATimeScheduler, daily: PeriodicTask
) -> None:
    PeriodicTask.objects.all().delete()
    PeriodicTasks.objects.all().delete()  # as tables are that were just made
    for _ in range(2):
        scheduler.tick()
    PeriodicTask.objects.bulk_create([daily])  # as a migration does
    PeriodicTasks.update_changed()
    scheduler.tick()
    assert clean_ups() == 1


@pytest.mark.parametrize(
    ("zone", "now", "is_due"),
    [
        ("UTC", "2026-07-01T23:59:00+00:00", False),
        ("UTC", "2026-07-02T00:01:00+00:00", True),
        ("America/New_York", "2026-07-02T03:59:00+00:00", False),
        ("America/New_York", "2026-07-02T04:01:00+00:00", True),  # summer: UTC-4
        ("America/New_York", "2026-12-02T04:01:00+00:00", False),
        ("America/New_York", "2026-12-02T05:01:00+00:00", True),  # winter: UTC-5
        ("Asia/Kolkata", "2026-07-01T18:29:00+00:00", False),
        ("Asia/Kolkata", "2026-07-01T18:31:00+00:00", True),  # UTC+5:30
    ],
)
def test_midnight_is_that_of_the_schedules_own_time_zone(
    scheduler: OneAtATimeScheduler, zone: str, now: str, is_due: bool
) -> None:
    moment = datetime.fromisoformat(now)
    CrontabSchedule.objects.update(timezone=zone)
    PeriodicTask.objects.update(last_run_at=moment - timedelta(hours=12))
    (entry,) = scheduler.all_as_schedule().values()
    entry.schedule.nowfun = lambda: moment
    assert entry.is_due().is_due is is_due


def test_no_schedule_but_that_of_the_database_is_installed(scheduler: OneAtATimeScheduler) -> None:
    scheduler.tick()
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == {"daily"}
