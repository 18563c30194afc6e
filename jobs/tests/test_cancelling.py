"""Cancelling: what waits ends at once, what runs at its next chunk, what has ended stays as it is."""

from __future__ import annotations

import pytest

from jobs import lifecycle, runner, stopping
from jobs.models import Job
from jobs.run import Run
from jobs.tests.engine import QUEUE, claimed, doing, lease_of, make_due, statuses, waiting

pytestmark = pytest.mark.django_db


def test_a_waiting_job_is_cancelled_at_once_with_name_and_reason() -> None:
    job = lifecycle.cancel(job_id=waiting().pk, by="bob", reason="by mistake")
    assert (job.status, job.cancelled_by, job.reason) == ("CANCELLED", "bob", "by mistake")
    assert job.completed_at is not None
    assert lifecycle.claim(queue=QUEUE, worker="worker") is None


def test_cancelling_a_job_that_is_retrying_stops_the_retry_that_runs() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    make_due()
    again = lifecycle.claim(queue=QUEUE, worker="worker")
    assert again is not None
    lifecycle.cancel(job_id=first.pk, by="bob")
    assert statuses(first) == ["RETRYING", "IN_PROGRESS"]
    assert lifecycle.record_progress(job_id=again.pk, lease=lease_of(again))
    lifecycle.stop(job_id=again.pk, lease=lease_of(again))
    assert statuses(first) == ["FAILED", "CANCELLED"]


def test_a_cancelled_job_whose_worker_is_stopped_does_not_go_back_to_its_queue() -> None:
    def work(run: Run) -> None:
        lifecycle.cancel(job_id=run.job.pk, by="bob")
        stopping.request_stop()
        run.check()

    job = waiting()
    with doing(work):
        try:
            runner.run_next(QUEUE)
        finally:
            stopping.withdraw()
    assert statuses(job) == ["CANCELLED"]
    assert not Job.objects.due().exists()
