"""Which scheduled changes the daily clean-up deletes, and which it keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules import plan, retention, schedule_operations
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.tests.schedules.plans import OPS, let_come, planned
from flagsite.core.db.clock import now
from jobs.engine import runner
from jobs.operations import cleanup
from jobs.tests.races.threads import Background
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
LONG = timedelta(days=90.1)
NOT_SO_LONG = timedelta(days=89.9)


def touched(schedule: FlagSchedule, ago: timedelta = LONG, **columns: Any) -> int:
    """Have it been written for the last time so long ago; returns its id."""
    FlagSchedule.objects.filter(pk=schedule.pk).update(updated_at=Now() - ago, **columns)
    return schedule.pk


def all_touched_long_ago() -> None:
    FlagSchedule.objects.update(updated_at=Now() - LONG)


def clean_up() -> set[int]:
    """Run a clean-up to its end; returns the ids of the schedules that are left."""
    cleanup.request(by="alice")
    assert runner.run_next("cleanup") is not None
    return set(FlagSchedule.objects.values_list("pk", flat=True))


def recurring(cast: Cast, times: int) -> list[int]:
    """One that came every minute, so often; returns the ids of all its times, of which the last is to come."""
    Flag.objects.get_or_create(key="checkout")
    request = ScheduleRequest("checkout", cast.oslo.pk)
    plan.plan_recurring(OPS, request, wanted={"enabled": True}, cron="* * * * *", time_zone="UTC")
    for _ in range(times):
        FlagSchedule.objects.update(scheduled_at=F("scheduled_at") - timedelta(minutes=2))
        assert apply_due().applied == 1
    ids = list(FlagSchedule.objects.order_by("pk").values_list("pk", flat=True))
    assert len(ids) == times + 1
    return ids


@pytest.mark.parametrize(
    "columns",
    [{"status": "applied"}, {"status": "cancelled"}, {"status": "failed", "retry_count": 3}],
    ids=["applied", "cancelled", "failed for good"],
)
def test_one_that_is_settled_goes_when_its_days_are_over(cast: Cast, columns: dict[str, Any]) -> None:
    touched(planned(cast.oslo), LONG, **columns)
    young = touched(planned(cast.rome), NOT_SO_LONG, **columns)
    assert cleanup.old_jobs().others["schedules"] == 1
    assert clean_up() == {young}


def test_one_that_is_still_to_be_tried_stays_however_old(cast: Cast) -> None:
    pending = touched(planned(cast.oslo, ago=LONG))
    waiting = touched(planned(cast.rome), status="failed", next_retry_at=now() - LONG)
    assert clean_up() == {pending, waiting}


def test_the_halves_of_a_pair_go_together_and_not_before(cast: Cast) -> None:
    Flag.objects.create(key="checkout")
    at = now() + timedelta(days=1)
    on, off = plan.plan_pair(OPS, ScheduleRequest("checkout", cast.oslo.pk), on_at=at, off_at=at + timedelta(days=1))
    touched(on, status="applied")
    assert clean_up() == {on.pk, off.pk}
    touched(off, NOT_SO_LONG, status="applied")
    assert clean_up() == {on.pk, off.pk}
    touched(off)
    assert clean_up() == set()


def test_a_pair_goes_together_although_its_halves_are_looked_at_apart(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 1)
    Flag.objects.create(key="checkout")
    at = now() + timedelta(days=1)
    plan.plan_pair(OPS, ScheduleRequest("checkout", cast.oslo.pk), on_at=at, off_at=at + timedelta(days=1))
    FlagSchedule.objects.update(updated_at=Now() - LONG, status="applied")
    assert clean_up() == set()


def test_of_a_recurring_one_that_still_runs_its_first_and_its_next_time_stay(cast: Cast) -> None:
    first, *came, coming = recurring(cast, 3)
    all_touched_long_ago()
    assert len(came) == 2
    assert cleanup.old_jobs().others["schedules"] == 2
    assert clean_up() == {first, coming}
    let_come(coming)
    assert apply_due().applied == 1
    assert FlagSchedule.objects.get(status="pending").series_id == first


@pytest.mark.parametrize("at_once", [2, 2000])
def test_a_recurring_one_that_has_ended_goes_as_a_whole(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", at_once)
    schedule_operations.cancel(schedule_id=recurring(cast, 4)[-1], by="alice")
    all_touched_long_ago()
    assert cleanup.old_jobs().others["schedules"] == 5
    assert clean_up() == set()


def test_zero_days_keep_all_for_ever(cast: Cast, settings: Any) -> None:
    settings.FLAG_SCHEDULE_KEEP_DAYS = 0
    old = touched(planned(cast.oslo), status="applied")
    assert cleanup.old_jobs().others["schedules"] == 0
    assert clean_up() == {old}


def test_a_report_says_how_many_went_and_the_audit_log_of_each_stays(cast: Cast) -> None:
    gone = [touched(planned(place), status="applied") for place in (cast.oslo, cast.rome)]
    clean_up()
    assert AuditEntry.objects.get(action="jobs.cleaned").details == {"deleted": {"schedules": 2}, "finished": True}
    subjects = [f"flag-schedule:{one}" for one in gone]
    assert AuditEntry.objects.filter(action="flag-schedule.create", subject__in=subjects).count() == 2


def test_one_that_somebody_is_just_retrying_stays(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    retried = touched(planned(cast.oslo), status="failed", retry_count=3)
    locked = retention._locked

    def retry_then_lock(ids: set[int]) -> Any:
        Background(
            lambda: schedule_operations.retry(schedule_id=retried, by="alice")
        ).result()  # between the look and the lock
        return locked(ids)

    monkeypatch.setattr(retention, "_locked", retry_then_lock)
    assert clean_up() == {retried}


def test_what_somebody_has_in_hand_is_left_for_another_day_and_the_other_half_with_it(cast: Cast) -> None:
    touched(planned(cast.rome), status="applied")
    at = now() + timedelta(days=1)
    halves = plan.plan_pair(OPS, ScheduleRequest("checkout", cast.oslo.pk), on_at=at, off_at=at + timedelta(days=1))
    both = {touched(half, status="applied") for half in halves}
    with transaction.atomic():
        FlagSchedule.objects.select_for_update().get(pk=halves[0].pk)
        assert Background(clean_up).result() == both
    assert clean_up() == set()
