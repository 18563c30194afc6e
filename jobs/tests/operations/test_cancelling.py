"""Cancelling: what waits ends at once, what runs at its next chunk, what has ended stays as it is."""

from __future__ import annotations

import pytest
from django.db import transaction

from jobs.engine import claiming, lifecycle, rescuer, runner, stop_request
from jobs.engine.chains import tracked
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import NotCancellable
from jobs.operations import job_operations
from jobs.tests.engine_steps import (
    LONG_AGO,
    QUEUE,
    changed,
    claimed,
    doing,
    endings,
    latest,
    lease_of,
    make_due,
    statuses,
    waiting,
)
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_a_waiting_job_is_cancelled_at_once_with_name_and_reason() -> None:
    job = job_operations.cancel(job_id=waiting().pk, by="bob", reason="by mistake")
    assert (job.status, job.cancelled_by, job.cancel_reason) == ("CANCELLED", "bob", "by mistake")
    assert job.completed_at is not None
    assert claiming.claim(queue=QUEUE, worker="worker") is None


def test_a_running_job_stops_at_its_next_chunk_and_keeps_what_was_written() -> None:
    chunks = []

    def work(run: Run) -> None:
        for number in range(5):
            run.check()
            with transaction.atomic():
                run.record_progress(processed=10)
            chunks.append(number)
            if number == 1:
                job_operations.cancel(job_id=run.job.pk, by="bob")

    job = waiting()
    with doing(work):
        runner.run_next(QUEUE)
    job.refresh_from_db()
    assert chunks == [0, 1, 2]
    assert (job.status, job.processed, job.cancelled_by) == ("CANCELLED", 30, "bob")


def test_a_job_keeps_the_first_who_cancelled_it_and_why_it_was_retried() -> None:
    broken = claimed()
    lifecycle.fail(job_id=broken.pk, lease=lease_of(broken), error="no", permanent=True)
    again = job_operations.retry(job_id=broken.pk, by="ada", reason="mended")
    make_due()
    claiming.claim(queue=QUEUE, worker="worker")
    for who, why in (("bob", "by mistake"), ("eve", "me too")):
        job_operations.cancel(job_id=again.pk, by=who, reason=why)
    again.refresh_from_db()
    assert (again.reason, again.cancelled_by, again.cancel_reason) == ("mended", "bob", "by mistake")
    asked = AuditEntry.objects.filter(action="job.cancel").order_by("id").values_list("actor", "reason")
    assert list(asked) == [("bob", "by mistake"), ("eve", "me too")]


def test_cancelling_a_job_that_is_retrying_cancels_the_retry_that_waits() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    assert job_operations.cancel(job_id=first.pk, by="bob") == latest(first)
    assert statuses(first) == ["CANCELLED", "CANCELLED"]
    assert endings(first) == ["FAILED", "CANCELLED"]


def test_cancelling_a_job_that_is_retrying_stops_the_retry_that_runs() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    make_due()
    again = claiming.claim(queue=QUEUE, worker="worker")
    assert again is not None
    job_operations.cancel(job_id=first.pk, by="bob")
    assert statuses(first) == ["RETRYING", "IN_PROGRESS"]
    assert lifecycle.record_progress(job_id=again.pk, lease=lease_of(again))
    lifecycle.stop(job_id=again.pk, lease=lease_of(again))
    assert statuses(first) == ["CANCELLED", "CANCELLED"]
    assert endings(first) == ["FAILED", "CANCELLED"]


def test_what_has_ended_is_not_cancelled() -> None:
    done, broken = claimed(), claimed()
    lifecycle.complete(job_id=done.pk, lease=lease_of(done))
    lifecycle.fail(job_id=broken.pk, lease=lease_of(broken), error="no", permanent=True)
    gone = waiting()
    job_operations.cancel(job_id=gone.pk, by="bob")
    for job, status in ((done, "COMPLETED"), (broken, "FAILED"), (gone, "CANCELLED")):
        with pytest.raises(NotCancellable, match=status):
            job_operations.cancel(job_id=job.pk, by="carol")
        assert statuses(job) == [status]


def test_a_job_that_completed_with_failures_is_cancelled_by_way_of_the_retry_that_a_person_asked_for() -> None:
    first = claimed(processed=5, failed=2)
    lifecycle.complete(job_id=first.pk, lease=lease_of(first))
    again = job_operations.retry(job_id=first.pk, by="bob")
    assert job_operations.cancel(job_id=first.pk, by="carol") == again
    assert statuses(first) == ["CANCELLED", "CANCELLED"]
    assert endings(first) == ["COMPLETED", "CANCELLED"]


def test_a_cancelled_job_that_fails_is_not_tried_again() -> None:
    job = claimed()
    job_operations.cancel(job_id=job.pk, by="bob")
    assert lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no") is None
    assert statuses(job) == ["CANCELLED"]


def test_a_cancelled_job_whose_worker_died_is_not_tried_again() -> None:
    job = claimed()
    job_operations.cancel(job_id=job.pk, by="bob")
    changed(job, lease_expires_at=LONG_AGO)
    assert rescuer.rescue_expired() == 1
    assert statuses(job) == ["CANCELLED"]


def test_a_cancelled_job_whose_worker_is_stopped_does_not_go_back_to_its_queue() -> None:
    def work(run: Run) -> None:
        job_operations.cancel(job_id=run.job.pk, by="bob")
        stop_request.request_stop()
        run.check()

    job = waiting()
    with doing(work):
        try:
            runner.run_next(QUEUE)
        finally:
            stop_request.withdraw()
    assert statuses(job) == ["CANCELLED"]
    assert not Job.objects.due().exists()


def test_the_error_of_a_cancelled_chain_belongs_to_the_same_attempt_as_its_counts() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="All 19 organizations failed")
    make_due()
    running = claiming.claim(queue=QUEUE, worker="worker")
    assert running is not None
    job_operations.cancel(job_id=first.pk, by="bob")
    lifecycle.stop(job_id=running.pk, lease=lease_of(running))
    standing = tracked([Job.objects.get(pk=first.pk)])[0].standing
    assert (standing.status, standing.failed, standing.error_message) == ("CANCELLED", 0, None)
