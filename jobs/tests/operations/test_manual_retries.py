"""A person asks for another round: which chains allow it, and what the round keeps."""

from __future__ import annotations

import pytest

from conftest import Cast
from jobs.admin.job_rows import rows_of
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, Queue
from jobs.errors import JobNotFound, NotRetryable
from jobs.operations import job_operations
from jobs.operations.retry_failed import retry_failed
from jobs.operations.selection import Selection
from jobs.tests.engine_steps import QUEUE, changed, claimed, endings, latest, lease_of, make_due, statuses, waiting
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db


def failed() -> Job:
    """A job whose chain has come to a bad end at the first attempt."""
    job = claimed(arguments={"a": 1})
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
    return job


def completed(**columns: int) -> Job:
    job = claimed(**columns)
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    return job


def claim() -> Job:
    make_due()
    job = claiming.claim(queue=QUEUE, worker="worker")
    assert job is not None
    return job


def test_a_retry_is_due_at_once_and_records_who_and_why() -> None:
    first = failed()
    again = job_operations.retry(job_id=first.pk, by="bob", reason="the disk is empty again")
    assert (again.requested_by, again.reason, again.trigger) == ("bob", "the disk is empty again", "manual")
    assert (again.parent_job_id, again.retry_count, again.arguments) == (first.pk, 1, {"a": 1})
    assert claiming.claim(queue=QUEUE, worker="worker") == again
    assert statuses(first) == ["RETRYING", "IN_PROGRESS"]


def test_a_retry_begins_a_new_round_of_automatic_ones() -> None:
    first = failed()
    job_operations.retry(job_id=first.pk, by="bob")
    for _ in range(3):
        job = claim()
        assert lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no") is not None
    job = claim()
    assert lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no") is None
    assert statuses(first) == ["FAILED"] * 5
    assert [each.round_attempt for each in Job.objects.of_chain(first.pk)] == [0, 0, 1, 2, 3]
    assert [each.retry_count for each in Job.objects.of_chain(first.pk)] == [4, 1, 2, 3, 4]
    assert latest(first).requested_by == "bob"


def test_any_job_of_the_chain_may_be_named() -> None:
    first = failed()
    job_operations.retry(job_id=first.pk, by="bob")
    again = claim()
    lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no", permanent=True)
    third = job_operations.retry(job_id=first.pk, by="bob")
    assert (third.parent_job_id, third.retry_count) == (first.pk, 2)


def test_after_one_that_completed_with_failures_only_those_left_behind_are_done() -> None:
    first = completed(processed=5, failed=2)
    again = job_operations.retry(job_id=first.pk, by="bob")
    assert again.only_behind
    assert statuses(first) == ["RETRYING", "PENDING"]
    assert endings(first) == ["COMPLETED", "PENDING"]
    job = claim()
    retried = lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    assert retried is not None
    assert retried.only_behind


def test_after_one_that_failed_only_those_left_behind_are_done_where_it_knows_them() -> None:
    assert not job_operations.retry(job_id=failed().pk, by="bob").only_behind
    again = changed(claim(), failed=2)
    lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no", permanent=True)
    assert job_operations.retry(job_id=again.pk, by="bob").only_behind


def test_a_new_round_has_as_many_retries_as_the_queue_has_now() -> None:
    first = failed()
    Queue.objects.filter(name=QUEUE).update(max_retries=1)
    assert job_operations.retry(job_id=first.pk, by="bob").max_retries == 1


def test_what_is_open_is_not_retried() -> None:
    pending, running = waiting(), claimed()
    failing = claimed()
    lifecycle.fail(job_id=failing.pk, lease=lease_of(failing), error="no")
    for job, word in ((pending, "PENDING"), (running, "IN_PROGRESS"), (failing, "PENDING")):
        count = Job.objects.count()
        with pytest.raises(NotRetryable, match=word):
            job_operations.retry(job_id=job.pk, by="bob")
        assert Job.objects.count() == count


def test_what_completed_without_failures_or_was_cancelled_is_not_retried() -> None:
    cancelled = waiting()
    job_operations.cancel(job_id=cancelled.pk, by="bob")
    for job, words in ((completed(processed=5), "nothing to retry"), (cancelled, "was cancelled")):
        with pytest.raises(NotRetryable, match=words):
            job_operations.retry(job_id=job.pk, by="bob")


def test_a_chain_that_completed_at_last_is_not_retried_though_its_first_job_failed() -> None:
    first = failed()
    job_operations.retry(job_id=first.pk, by="bob")
    again = claim()
    lifecycle.complete(job_id=again.pk, lease=lease_of(again))
    with pytest.raises(NotRetryable):
        job_operations.retry(job_id=first.pk, by="bob")


def test_what_is_of_an_organization_that_is_gone_is_not_retried_and_passed_over_with_that_reason(cast: Cast) -> None:
    job = changed(failed(), organization_id=cast.oslo.pk)
    caller = Caller("user:olga", Role.ADMIN)
    assert rows_of([job], caller, may_operate=True)[job.pk].can_be_retried
    tree_operations.delete(organization_id=cast.oslo.pk)
    with pytest.raises(NotRetryable, match=f"The organization {cast.oslo.pk} of job {job.pk} no longer exists"):
        job_operations.retry(job_id=job.pk, by="bob")
    done = retry_failed(Selection(), by="bob")
    assert (done.count, done.skipped) == (0, {"were of organizations that no longer exist": 1})
    assert not rows_of([job], caller, may_operate=True)[job.pk].can_be_retried


def test_a_job_that_never_was_is_told() -> None:
    for step in (job_operations.retry, job_operations.cancel):
        with pytest.raises(JobNotFound):
            step(job_id=10**12, by="bob")


def test_earlier_attempts_wait_for_the_new_round_and_settle_with_it() -> None:
    first = failed()
    job_operations.retry(job_id=first.pk, by="bob")
    again = claim()
    assert statuses(first) == ["RETRYING", "IN_PROGRESS"]
    changed(again, processed=1)
    lifecycle.complete(job_id=again.pk, lease=lease_of(again))
    assert statuses(first) == ["COMPLETED", "COMPLETED"]
    assert endings(first) == ["FAILED", "COMPLETED"]
