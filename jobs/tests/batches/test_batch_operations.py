"""What people do with a batch: retry what failed, retry one member, and cancel."""

from __future__ import annotations

import pytest

from jobs.batches import operations
from jobs.batches.creation import add_members
from jobs.batches.members import count_members
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job
from jobs.errors import BatchEnded, BatchNotFound, BatchNotRetryable
from jobs.operations import job_operations
from jobs.tests.batches.batch_steps import (
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
from jobs.tests.engine_steps import lease_of
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_a_member_that_a_person_retries_reopens_the_batch_and_the_callback_comes_again() -> None:
    batch = batch_of(2)
    complete(claim())
    failed = claim()
    fail(failed)
    assert (outcome(batch), callbacks(batch)) == ("PARTIAL", [1])
    job_operations.retry(job_id=failed.pk, by="olga")
    again = fresh(batch)
    assert (again.outcome, again.generation, again.finished_at, again.failed) == ("", 2, None, None)
    counts = count_members([again])[batch.pk]
    assert (counts.succeeded, counts.retrying) == (1, 1)
    complete(claim())
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1, 2])


def test_a_member_that_is_retried_while_others_are_open_begins_no_generation() -> None:
    batch = batch_of(2)
    failed = claim()
    fail(failed)
    job_operations.retry(job_id=failed.pk, by="olga")
    complete(claim())
    complete(claim())
    assert (outcome(batch), fresh(batch).generation, callbacks(batch)) == ("SUCCEEDED", 1, [1])


def test_what_failed_is_retried_in_one_step_and_the_rest_stays() -> None:
    batch = batch_of(4)
    for end in (complete, fail, fail_partly, fail):
        end(claim())
    done = operations.retry_failed_members(batch.pk, by="olga", reason="mended")
    assert (done.result.count, done.job, done.batch.generation) == (3, None, 2)
    assert Job.objects.filter(batch=batch, status="PENDING", trigger="manual").count() == 3
    for _ in range(3):
        complete(claim())
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1, 2])
    entry = AuditEntry.objects.get(action="batch.retry")
    assert (entry.subject, entry.reason, entry.details["members"]) == (f"batch:{batch.pk}", "mended", 3)


def test_a_batch_in_which_nothing_failed_is_not_retried() -> None:
    batch = batch_of(2)
    complete(claim())
    with pytest.raises(BatchNotRetryable, match="No member"):
        operations.retry_failed_members(batch.pk, by="olga")
    operations.cancel(batch.pk, by="olga")
    assert outcome(batch) == "CANCELLED"
    with pytest.raises(BatchNotRetryable):
        operations.retry_failed_members(batch.pk, by="olga")
    assert (fresh(batch).generation, callbacks(batch)) == (1, [1])
    with pytest.raises(BatchNotFound):
        operations.retry_failed_members(10**9, by="olga")


def test_many_members_are_retried_by_a_job_that_holds_the_batch_open(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(3)
    for _ in range(3):
        fail(claim())
    monkeypatch.setattr(operations, "MAX_JOBS_IN_REQUEST", 2)
    done = operations.retry_failed_members(batch.pk, by="olga")
    assert done.job is not None
    assert (done.job.kind, fresh(batch).generation, fresh(batch).is_open) == ("bulk", 2, True)
    bulk = claiming.claim(queue="default", worker="w")
    assert bulk == done.job
    first = Job.objects.filter(batch=batch, parent_job=None, batch_role="member").earliest("pk")
    job_operations.retry(job_id=first.pk, by="olga")
    complete(claim())
    assert fresh(batch).is_open, "the other two are not retried yet"
    lifecycle.release(job_id=bulk.pk, lease=lease_of(bulk))
    assert runner.run_next("default") == bulk
    for _ in range(2):
        complete(claim())
    counts = count_members([fresh(batch)])[batch.pk]
    assert (outcome(batch), counts.total, callbacks(batch)) == ("SUCCEEDED", 3, [1, 2])


def test_cancelling_a_batch_ends_what_waits_at_once_and_what_runs_at_its_next_chunk() -> None:
    batch = batch_of(3)
    running = claim()
    done = operations.cancel(batch.pk, by="olga", reason="too much")
    assert (done.result.count, done.job, done.batch.is_stopping) == (3, None, True)
    assert count_members([batch])[batch.pk].cancelled == 2
    with pytest.raises(BatchEnded, match="being cancelled"):
        add_members(batch.pk, members(1))
    lifecycle.stop(job_id=running.pk, lease=lease_of(running))
    ended = fresh(batch)
    assert (ended.outcome, ended.cancelled_by, ended.cancel_reason) == ("CANCELLED", "olga", "too much")
    assert callbacks(batch) == [1]
    with pytest.raises(BatchEnded):
        operations.cancel(batch.pk, by="olga")


def test_a_member_that_completes_in_spite_of_the_cancellation_counts() -> None:
    batch = batch_of(1)
    running = claim()
    operations.cancel(batch.pk, by="olga")
    complete(running)
    assert outcome(batch) == "SUCCEEDED"


def test_many_members_are_cancelled_by_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(3)
    monkeypatch.setattr(operations, "MAX_JOBS_IN_REQUEST", 2)
    done = operations.cancel(batch.pk, by="olga")
    assert done.job is not None
    assert done.job.total == 3
    assert runner.run_next("default") == done.job
    assert (outcome(batch), callbacks(batch)) == ("CANCELLED", [1])
