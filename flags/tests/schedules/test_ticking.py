"""What is due is applied once, in order, and failures are tried again as long as that may help."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules import apply, due, schedule_operations
from flags.schedules import plan as planning
from flags.schedules.due import DueResult, apply_due
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.states.models import Change, FlagState
from flags.tests.schedules.plans import OPS, as_of, in_the_future, let_come, pass_time, planned
from flagsite.core.db import transient_errors
from flagsite.core.db.clock import now
from jobs.counting.models import EngineCounter
from jobs.engine.models import Job
from orgs.audit.models import AuditEntry
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
Status = FlagSchedule.Status


class Broken:
    """flags.states.apply.set_flag, which fails for some organizations."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: dict[int, Exception] = {}
        self._whole = apply.set_flag
        monkeypatch.setattr(apply, "set_flag", self)

    def __call__(self, *, organization_id: int, **more: Any) -> Any:
        accepted = self._whole(organization_id=organization_id, **more)
        if organization_id in self.errors:
            raise self.errors[organization_id]
        return accepted


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(monkeypatch)


def applied_in_order() -> list[tuple[int, bool]]:
    return list(Change.objects.order_by("number").values_list("organization_id", "enabled"))


def test_a_change_is_made_like_any_other_by_its_author(cast: Cast) -> None:
    schedule = planned(cast.acme, reason="launch", correlation_id="req-1")
    assert apply_due() == DueResult(applied=1)
    change, job, done = Change.objects.get(), Job.objects.get(), as_of(schedule)
    assert (done.status, done.first_try, done.change_number, done.job_id) == ("applied", True, change.number, job.pk)
    assert done.applied_at is not None
    assert (change.requested_by, job.requested_by, job.correlation_id) == (OPS.name, OPS.name, "req-1")
    entries = AuditEntry.objects.filter(correlation_id="req-1").order_by("id")
    said = [(entry.action, entry.actor, entry.via, entry.reason) for entry in entries]
    assert said == [
        ("flag.set", OPS.name, "schedule", f"launch; schedule {schedule.pk}"),
        ("flag-schedule.apply", OPS.name, "schedule", "launch"),
    ]
    assert apply_due() == DueResult()


def test_what_is_not_due_stays(cast: Cast) -> None:
    planned(cast.oslo, ago=timedelta(minutes=-1))
    schedule_operations.cancel(schedule_id=planned(cast.rome).pk, by="x")
    assert apply_due() == DueResult()
    assert not Change.objects.exists()


def test_missed_times_are_made_up_for_once_and_in_order(cast: Cast) -> None:
    planned(cast.north, enabled=True, ago=timedelta(hours=1))
    planned(cast.acme, enabled=False, ago=timedelta(hours=3))
    planned(cast.oslo, enabled=False, ago=timedelta(minutes=5))
    planned(cast.acme, enabled=True, ago=timedelta(hours=2))
    apply_due()
    assert applied_in_order() == [
        (cast.acme.pk, False), (cast.acme.pk, True), (cast.north.pk, True), (cast.oslo.pk, False),
    ]  # fmt: skip


def test_a_hundred_at_a_time(cast: Cast) -> None:
    flag = Flag.objects.create(key="checkout")
    FlagSchedule.objects.bulk_create(
        FlagSchedule(flag=flag, flag_key="checkout", organization=cast.oslo, wanted={"enabled": True},
                     scheduled_at=now(), created_by="x") for _ in range(103)
    )  # fmt: skip
    assert (apply_due().applied, apply_due().applied) == (100, 3)


def test_one_that_fails_keeps_no_other_from_being_applied(cast: Cast, broken: Broken) -> None:
    failing, other = planned(cast.oslo), planned(cast.rome)
    broken.errors[cast.oslo.pk] = OperationalError("the lock was not to be had\nCONTEXT:  line 4 at RAISE")
    assert apply_due() == DueResult(applied=1, delayed=1)
    assert as_of(other).status == "applied"
    left = as_of(failing)
    assert (left.status, left.retry_count, left.applied_at, left.first_try) == ("failed", 0, None, None)
    assert left.last_error == "the lock was not to be had"
    wait = left.next_retry_at - now()
    assert timedelta(minutes=1, seconds=55) < wait <= timedelta(minutes=2, seconds=30)
    assert not FlagState.objects.filter(organization=cast.oslo).exists()  # what it had written is undone


def test_each_retry_waits_longer_until_it_has_failed_for_good(cast: Cast, broken: Broken) -> None:
    schedule = planned(cast.oslo, max_retries=3)
    broken.errors[cast.oslo.pk] = RuntimeError("out of the blue")
    waits = []
    for retries in range(3):
        assert apply_due() == DueResult(delayed=1)
        assert apply_due() == DueResult()
        left = as_of(schedule)
        assert left.retry_count == retries
        waits.append((left.next_retry_at - now()).total_seconds() // 60)
        pass_time(timedelta(hours=2))
    assert all(low <= wait <= low + 1 for low, wait in zip((1, 3, 7), waits, strict=True))
    assert apply_due() == DueResult(failed=1)
    left = as_of(schedule)
    assert (left.status, left.retry_count, left.next_retry_at, left.attempts) == ("failed", 3, None, 4)
    pass_time(timedelta(days=2))
    assert apply_due() == DueResult()
    assert AuditEntry.objects.filter(action="flag-schedule.fail", subject=schedule.subject).count() == 1


def test_success_clears_the_retry_and_says_that_it_was_not_the_first_try(cast: Cast, broken: Broken) -> None:
    schedule = planned(cast.oslo)
    broken.errors[cast.oslo.pk] = OperationalError("away")
    apply_due()
    broken.errors.clear()
    pass_time(timedelta(minutes=3))
    assert apply_due() == DueResult(applied=1)
    done = as_of(schedule)
    assert (done.status, done.retry_count, done.next_retry_at, done.last_error) == ("applied", 0, None, "")
    assert done.first_try is False
    assert AuditEntry.objects.get(action="flag-schedule.apply").details["firstTry"] is False


def test_retries_come_first(cast: Cast, broken: Broken) -> None:
    retried = planned(cast.oslo, flag="b", ago=timedelta(minutes=1))
    broken.errors[cast.oslo.pk] = OperationalError("away")
    apply_due()
    broken.errors.clear()
    planned(cast.rome, flag="a", ago=timedelta(hours=5))
    pass_time(timedelta(minutes=3))
    apply_due()
    assert as_of(retried).change_number == min(Change.objects.values_list("number", flat=True))


@pytest.mark.parametrize("later", ["oslo", "north", "acme"])
def test_what_overlaps_with_one_that_waits_for_its_retry_comes_after_it(cast: Cast, broken: Broken, later: str) -> None:
    first = planned(cast.north, enabled=True, ago=timedelta(minutes=1))
    second = planned(getattr(cast, later), enabled=False)
    stranger, definition = planned(cast.rival, enabled=False), planned(None, enabled=False)
    sister = planned(cast.rome, enabled=False)
    broken.errors[cast.north.pk] = OperationalError("away")
    apply_due()
    assert (as_of(first).status, as_of(second).status) == ("failed", "pending")
    assert as_of(stranger).status == as_of(definition).status == "applied"
    assert as_of(sister).status == ("pending" if later == "acme" else "applied")  # acme's comes before
    broken.errors.clear()
    pass_time(timedelta(minutes=3))
    apply_due()
    assert as_of(first).change_number < as_of(second).change_number
    assert as_of(sister).status == "applied"


def test_a_change_of_a_definition_waits_while_one_before_it_waits_for_its_retry(cast: Cast) -> None:
    first = planned(None, enabled=True, ago=timedelta(minutes=1))
    FlagSchedule.objects.filter(pk=first.pk).update(status="failed", next_retry_at=now() + timedelta(minutes=2))
    planned(None, enabled=False)
    other = planned(None, flag="other")
    assert apply_due() == DueResult(applied=1)
    assert as_of(other).status == "applied"
    pass_time(timedelta(minutes=3))
    assert apply_due() == DueResult(applied=2)
    assert Flag.objects.get(key="checkout").enabled is False


def test_what_waits_for_a_retry_is_freed_when_that_is_cancelled(cast: Cast, broken: Broken) -> None:
    first, second = planned(cast.oslo, ago=timedelta(minutes=1)), planned(cast.oslo, enabled=False)
    broken.errors[cast.oslo.pk] = OperationalError("away")
    apply_due()
    broken.errors.clear()
    assert apply_due() == DueResult()
    assert schedule_operations.cancel(schedule_id=first.pk, by="x").next_retry_at is None
    assert apply_due() == DueResult(applied=1)
    assert as_of(second).status == "applied"


def test_a_try_whose_end_is_unknown_is_not_noted_once_another_was_made(
    cast: Cast, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = planned(cast.oslo)
    broken.errors[cast.oslo.pk] = OperationalError("away")
    apply_due()
    lost, ticked = as_of(schedule), DueResult()
    pass_time(timedelta(minutes=3))
    assert apply_due() == DueResult(delayed=1)
    monkeypatch.setattr(transient_errors, "reconnect", lambda: None)
    due._record_lost_transaction(lost, OperationalError("the connection was lost"), ticked)
    left = as_of(schedule)
    assert (ticked, left.attempts, left.last_error) == (DueResult(), 2, "away")


def test_an_organization_that_is_gone_is_gone_for_good(cast: Cast) -> None:
    schedule = planned(cast.rome)
    tree_operations.delete(organization_id=cast.rome.pk)
    assert apply_due() == DueResult(failed=1)
    left = as_of(schedule)
    assert (left.status, left.next_retry_at, left.retry_count) == ("failed", None, 0)
    assert "There is no such organization" in left.last_error


def test_a_flag_that_is_gone_is_not_made_anew_nor_taken_for_another_of_its_name(cast: Cast) -> None:
    gone, replaced = planned(cast.oslo, flag="gone"), planned(cast.oslo, flag="replaced")
    definition = planned(None, flag="replaced")
    Flag.objects.filter(key__in=["gone", "replaced"]).delete()
    Flag.objects.create(key="replaced")
    assert apply_due() == DueResult(failed=3)
    assert not Flag.objects.filter(key="gone").exists()
    assert not Change.objects.exists()
    assert as_of(gone).last_error == "The flag gone no longer exists."
    assert as_of(replaced).next_retry_at is as_of(definition).next_retry_at is None


def recurring(where: Organization) -> FlagSchedule:
    Flag.objects.get_or_create(key="checkout")
    request = ScheduleRequest("checkout", where.pk, "each hour", 0)
    return planning.plan_recurring(OPS, request, wanted={"enabled": True}, cron="30 * * * *", time_zone="Asia/Kolkata")


def test_a_recurring_one_that_missed_slots_is_applied_once_and_comes_again_in_the_future(cast: Cast) -> None:
    first = recurring(cast.oslo)
    let_come(first.pk, after=timedelta(hours=5))
    assert apply_due() == DueResult(applied=1)
    second = FlagSchedule.objects.get(status="pending")
    assert (second.series_id, second.cron, second.reason, second.max_retries) == (first.pk, first.cron, "each hour", 0)
    assert in_the_future(second.scheduled_at)
    assert second.scheduled_at - now() <= timedelta(hours=1)
    assert apply_due() == DueResult()
    let_come(second.pk)
    assert apply_due() == DueResult(applied=1)
    assert FlagSchedule.objects.get(status="pending").series_id == first.pk


def test_a_recurring_one_comes_again_though_one_time_failed(cast: Cast, broken: Broken) -> None:
    first = recurring(cast.oslo)
    let_come(first.pk)
    broken.errors[cast.oslo.pk] = RuntimeError("once")
    assert apply_due() == DueResult(failed=1)
    assert FlagSchedule.objects.filter(status="pending", series=first).count() == 1
    schedule_operations.retry(schedule_id=first.pk, by="x")
    broken.errors.clear()
    assert apply_due() == DueResult(applied=1)
    assert FlagSchedule.objects.filter(status="pending", series=first).count() == 1


def test_a_recurring_one_that_is_cancelled_or_whose_organization_is_gone_comes_no_more(cast: Cast) -> None:
    cancelled, gone = recurring(cast.oslo), recurring(cast.rome)
    schedule_operations.cancel(schedule_id=cancelled.pk, by="x")
    tree_operations.delete(organization_id=cast.rome.pk)
    let_come(gone.pk)
    assert apply_due() == DueResult(failed=1)
    assert FlagSchedule.objects.count() == 2


def test_outcomes_are_counted(cast: Cast, broken: Broken) -> None:
    for where in (cast.oslo, cast.rome, cast.rival):
        planned(where)
    planned(cast.bergen, max_retries=0)
    broken.errors = {cast.rival.pk: OperationalError("away"), cast.bergen.pk: RuntimeError("x")}
    apply_due()
    counts = dict(EngineCounter.objects.filter(name__startswith="schedules").values_list("name", "value"))
    assert counts == {"schedules_applied": 2, "schedules_failed": 1, "schedules_delayed": 1}


@pytest.mark.parametrize(("given", "used"), [("0", 0), ("10", 10), ("11", 3), ("-1", 3), ("many", 3), ("²", 3)])
def test_the_setting_counts_within_its_bounds(
    cast: Cast, settings: Any, caplog: pytest.LogCaptureFixture, given: str, used: int
) -> None:
    settings.FLAG_SCHEDULE_MAX_RETRIES = given
    assert as_of(planned(cast.oslo)).max_retries == used
    warned = any("schedule_max_retries_out_of_range" in record.getMessage() for record in caplog.records)
    assert warned is (given not in {"0", "10"})


def test_the_database_refuses_more_retries_than_ten(cast: Cast) -> None:
    schedule = planned(cast.oslo)
    for wrong in ({"max_retries": 11}, {"max_retries": -1}, {"next_retry_at": now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            FlagSchedule.objects.filter(pk=schedule.pk).update(**wrong)
