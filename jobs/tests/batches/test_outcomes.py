"""The end of a batch: when it comes, its outcome, and the job that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from conftest import Cast
from jobs.batches import ending
from jobs.batches.creation import Callback, Member, add_members, create_batch
from jobs.batches.members import count_members
from jobs.batches.models import Batch, FailurePolicy
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.kinds import _kinds
from jobs.engine.models import Job
from jobs.errors import BatchEnded, InvalidBatch, InvalidJobArguments, UnknownKind
from jobs.operations import job_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.batches.batch_steps import (
    CALLBACK,
    KIND,
    batch_of,
    callbacks,
    claim,
    complete,
    fail,
    fail_partly,
    fresh,
    members,
    outcome,
)
from jobs.tests.engine_steps import lease_of, waiting
from orgs.access.caller import Caller
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
Ends = list[Callable[[Job], None]]


def cancel(job: Job) -> None:
    job_operations.cancel(job_id=job.pk, by="olga")
    lifecycle.stop(job_id=job.pk, lease=lease_of(job))


@pytest.mark.parametrize(
    ("required", "ends", "expected"),
    [
        (0, [complete, complete], "SUCCEEDED"),
        (0, [complete, fail], "PARTIAL"),
        (0, [fail, complete], "PARTIAL"),
        (0, [complete, fail_partly], "PARTIAL"),
        (0, [fail_partly, fail_partly], "PARTIAL"),
        (0, [complete, cancel], "PARTIAL"),
        (0, [fail, fail], "FAILED"),
        (0, [fail, cancel], "FAILED"),
        (0, [cancel, cancel], "CANCELLED"),
        (1, [fail, complete], "FAILED"),
        (1, [cancel, complete], "FAILED"),
        (1, [complete, fail], "PARTIAL"),
        (1, [fail_partly, complete], "PARTIAL"),
        (2, [complete, complete], "SUCCEEDED"),
    ],
)
def test_the_outcome_follows_from_the_ends_of_the_members(required: int, ends: Ends, expected: str) -> None:
    batch = batch_of(len(ends), required=required)
    for end in ends:
        assert outcome(batch) == ""
        assert callbacks(batch) == []
        end(claim())
    assert outcome(batch) == expected
    assert callbacks(batch) == [1]
    counts = count_members([fresh(batch)])[batch.pk]
    assert (counts.total, counts.percent_ended) == (len(ends), 100)


def test_a_retry_that_waits_is_no_end() -> None:
    batch = batch_of(1)
    job = claim()
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    assert fresh(batch).is_open
    assert count_members([batch])[batch.pk].retrying == 1
    complete(claim())
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_a_member_that_dies_for_good_ends_the_batch() -> None:
    batch = batch_of(1)
    while (job := Job.objects.filter(batch=batch, status="PENDING").first()) is not None:
        claimed = claim()
        assert claimed == job
        Job.objects.filter(pk=job.pk).update(lease_expires_at="2000-01-01T00:00Z")
        lifecycle.rescue(job_id=job.pk)
    assert outcome(batch) == "FAILED"


def test_a_batch_without_members_ends_at_once_and_takes_no_more() -> None:
    batch = batch_of(0)
    assert (batch.outcome, callbacks(batch)) == ("SUCCEEDED", [1])
    with pytest.raises(BatchEnded, match="has ended: SUCCEEDED"):
        add_members(batch.pk, members(1))
    assert Job.objects.filter(kind=KIND).count() == 0


def test_members_that_are_added_to_an_open_batch_have_to_end_too() -> None:
    batch = batch_of(1)
    assert add_members(batch.pk, members(2)).total == 3
    complete(claim())
    complete(claim())
    assert fresh(batch).is_open
    complete(claim())
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_a_batch_that_cannot_be_created_leaves_nothing() -> None:
    with pytest.raises(InvalidJobArguments, match=r"members\.1\.arguments\.number"):
        create_batch("b", [Member(kind=KIND), Member(kind=KIND, arguments={"number": "one"})])
    with pytest.raises(UnknownKind, match="mist"):
        create_batch("b", [Member(kind=KIND), Member(kind="mist")])
    with pytest.raises(UnknownKind, match="mist"):
        create_batch("b", [], on_finish=Callback("mist"))
    with pytest.raises(InvalidJobArguments, match=r"onFinish\.arguments\.word"):
        create_batch("b", [], on_finish=Callback(CALLBACK, {"word": 1}))
    assert (Batch.objects.count(), Job.objects.count(), AuditEntry.objects.count()) == (0, 0, 0)


def test_members_work_for_organizations_of_the_batchs_subtree(cast: Cast) -> None:
    inside = [Member(kind=KIND), Member(kind=KIND, organization_id=cast.oslo.pk)]
    batch = create_batch("b", inside, organization_id=cast.north.pk).batch
    jobs = Job.objects.filter(batch=batch).order_by("pk")
    assert [job.organization_id for job in jobs] == [cast.north.pk, cast.oslo.pk]
    with pytest.raises(InvalidBatch, match=f"not below it: {cast.rome.pk}"):
        create_batch("b", [Member(kind=KIND, organization_id=cast.rome.pk)], organization_id=cast.north.pk)


def test_while_a_batch_with_a_key_is_open_there_is_no_second_one(cast: Cast) -> None:
    first = create_batch("b", members(1), key="k")
    again = create_batch("b", members(5), key="k")
    assert (again.batch, again.is_deduplicated) == (first.batch, True)
    assert not create_batch("b", members(1), key="k", organization_id=cast.oslo.pk).is_deduplicated
    complete(claim())
    assert not create_batch("b", members(1), key="k").is_deduplicated


def test_the_callback_is_a_job_that_knows_its_batch(cast: Cast) -> None:
    batch = batch_of(1, organization_id=cast.oslo.pk, correlation_id="c-1", priority=7)
    complete(claim())
    job = Job.objects.get(kind=CALLBACK)
    assert job.arguments == {"word": "done", "batchId": batch.pk, "generation": 1}
    assert (job.organization_id, job.correlation_id, job.priority, job.requested_by) == (cast.oslo.pk, "c-1", 7, "olga")
    assert (job.unique_key, job.batch_id) == (f"batch:{batch.pk}:1:finish", None)
    assert fresh(batch).callback_job_id == job.pk
    assert runner.run_next("maintenance") == job


def test_members_end_although_the_callback_cannot_be_created(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(1)
    monkeypatch.delitem(_kinds, CALLBACK)
    complete(claim())
    ended = fresh(batch)
    assert (ended.outcome, ended.callback_job_id) == ("SUCCEEDED", None)
    assert CALLBACK in ended.callback_error


def test_a_callback_that_an_older_worker_did_not_know_follows_in_a_worker_that_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = batch_of(1)
    with monkeypatch.context() as older:
        older.delitem(_kinds, CALLBACK)
        complete(claim())
        ending.heal()
    assert fresh(batch).callback_job_id is None
    for _ in range(2):
        ending.heal()
    ended, followers = fresh(batch), list(Job.objects.filter(kind=CALLBACK))
    assert [job.pk for job in followers] == [ended.callback_job_id]
    assert (ended.callback_error, ended.outcome) == ("", "SUCCEEDED")


def test_members_end_whatever_goes_wrong_with_the_callback() -> None:
    batch = batch_of(1)
    Job.objects.create(kind=CALLBACK, queue="maintenance", unique_key=f"batch:{batch.pk}:1:finish")
    complete(claim())
    ended = fresh(batch)
    assert (ended.outcome, ended.callback_job_id) == ("SUCCEEDED", None)
    assert "IntegrityError" in ended.callback_error


def test_a_kind_checks_equal_members_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []

    def check(requester: Caller, organization_id: int | None, arguments: Any) -> None:
        checked.append((requester.name, arguments))
        if arguments.get("number") == 3:
            raise InvalidJobArguments({"arguments.number": "No 3."})

    monkeypatch.setitem(_kinds, KIND, replace(_kinds[KIND], check=check))
    create_batch("many", [*members(2), *members(2), *members(1)], by="command:olga")
    assert checked == [("command:olga", {"number": 0}), ("command:olga", {"number": 1})]
    with pytest.raises(InvalidJobArguments, match=r"members\.3\.arguments\.number"):
        create_batch("wrong", members(4), by="command:olga")


def test_the_first_failure_stops_the_others_if_the_batch_says_so() -> None:
    batch = batch_of(4, failure_policy=FailurePolicy.STOP_AT_FIRST_FAILURE)
    first, second = claim(), claim()
    fail(first)
    assert fresh(batch).is_stopping
    with pytest.raises(BatchEnded, match="being cancelled"):
        add_members(batch.pk, members(1))
    bulk = runner.run_next("default")
    assert bulk is not None
    assert bulk.kind == "bulk"
    assert Job.objects.filter(batch=batch, status="CANCELLED").count() == 2
    assert Job.objects.get(pk=second.pk).cancel_requested_at
    lifecycle.stop(job_id=second.pk, lease=lease_of(second))
    assert (outcome(batch), callbacks(batch)) == ("FAILED", [1])


def test_a_failure_changes_nothing_for_the_others_if_the_batch_waits_for_all() -> None:
    batch = batch_of(2)
    fail(claim())
    assert not fresh(batch).is_stopping
    assert Job.objects.filter(kind="bulk").count() == 0


def test_a_batch_that_a_crash_has_left_open_is_healed() -> None:
    batch, other = batch_of(1), batch_of(1)
    Job.objects.filter(batch=batch).update(batch=None)
    assert ending.heal() == 1
    assert (outcome(batch), callbacks(batch)) == ("FAILED", [1])
    assert fresh(other).is_open
    assert ending.heal() == 0


def test_a_transaction_that_is_rolled_back_ends_no_batch() -> None:
    batch, job = batch_of(1), claim()
    with pytest.raises(IntegrityError), transaction.atomic():
        complete(job)
        assert not fresh(batch).is_open
        raise IntegrityError
    assert fresh(batch).is_open
    assert callbacks(batch) == []
    complete(job)
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_a_job_without_a_batch_costs_no_statement_of_batches() -> None:
    batch_of(1)
    alone = waiting(priority=100)
    job = claiming.claim(queue="default", worker="w")
    assert job == alone
    with connection.execute_wrapper(_refuse_batches):
        complete(job)


def _refuse_batches(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
    assert "jobs_batch" not in sql
    return execute(sql, params, many, context)


def test_members_that_can_only_be_open_once_are_refused_twice() -> None:
    cleanups = [Member(kind="cleanup", arguments={"only": names}) for names in (["jobs"], ["batches"])]
    create_batch("b", cleanups)
    assert Job.objects.filter(kind="cleanup", unique_key__isnull=False).count() == 2
    with pytest.raises(InvalidBatch, match=r"Only one such job.*cleanup:"):
        create_batch("b", cleanups[:1])
    with pytest.raises(InvalidBatch, match="Only one such job"):
        create_batch("b", [Member(kind="cleanup"), Member(kind="cleanup")])
    assert Batch.objects.count() == 1


def test_members_get_the_columns_that_single_jobs_get(cast: Cast) -> None:
    single = enqueue(
        kind=KIND, arguments={"number": 1}, organization_id=cast.oslo.pk, by="olga", reason="why", correlation_id="c"
    ).job
    member = Member(kind=KIND, arguments={"number": 1}, organization_id=cast.oslo.pk)
    batch = create_batch("b", [member], by="olga", reason="why", correlation_id="c").batch
    job = Job.objects.get(batch=batch)
    own = {"id", "batch_id", "batch_role", "created_at", "updated_at", "run_at"}
    names = [field.attname for field in Job._meta.concrete_fields if field.attname not in own]
    assert {name: getattr(job, name) for name in names} == {name: getattr(single, name) for name in names}
    later = timezone.now() + timedelta(days=1)
    batch = create_batch("b", [Member(kind=KIND, run_at=later)]).batch
    assert Job.objects.get(batch=batch).run_at == later
