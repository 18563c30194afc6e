"""Whoever lost the lease writes nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction

from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, JobFailure
from jobs.engine.run import Run
from jobs.errors import LeaseLost
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, claimed, database_time, lease_of

pytestmark = pytest.mark.django_db
WRITES: dict[str, Callable[[int, UUID], object]] = {
    "renew": lambda job_id, lease: lifecycle.renew(job_id=job_id, lease=lease),
    "record_progress": lambda job_id, lease: lifecycle.record_progress(job_id=job_id, lease=lease, processed=5),
    "complete": lambda job_id, lease: lifecycle.complete(job_id=job_id, lease=lease),
    "fail": lambda job_id, lease: lifecycle.fail(job_id=job_id, lease=lease, error="late"),
    "release": lambda job_id, lease: lifecycle.release(job_id=job_id, lease=lease),
    "stop": lambda job_id, lease: lifecycle.stop(job_id=job_id, lease=lease),
}


def taken_by_another() -> tuple[Job, UUID]:
    """A job that another worker holds now, and the token of the one before."""
    job = claimed()
    lifecycle.release(job_id=job.pk, lease=lease_of(job))
    again = claiming.claim(queue=QUEUE, worker="another")
    assert again == job
    return again, lease_of(job)


@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_a_worker_that_lost_its_lease_is_refused(write: str) -> None:
    job, old_token = taken_by_another()
    before = Job.objects.values().order_by("id")
    rows = list(before)
    with pytest.raises(LeaseLost), transaction.atomic():
        WRITES[write](job.pk, old_token)
    assert list(before.all()) == rows


@pytest.mark.parametrize("write", WRITES)
def test_the_holder_may_still_write_when_the_lease_has_expired_but_nobody_came(write: str) -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    WRITES[write](job.pk, lease_of(job))


def test_the_chunk_of_a_worker_that_lost_its_lease_is_rolled_back() -> None:
    job = claimed()
    run = Run(job)
    changed(job, lease_token="00000000-0000-0000-0000-000000000001")
    with pytest.raises(LeaseLost), transaction.atomic():
        run.record_failure(7, "written in the same transaction")
        run.record_progress(processed=1)
    assert not JobFailure.objects.exists()


def test_a_job_that_another_holds_is_not_read_again() -> None:
    job, old_token = taken_by_another()
    job.lease_token = old_token
    with pytest.raises(LeaseLost):
        Run(job).reload()


def test_renewing_and_progress_prolong_the_lease_from_now() -> None:
    for name in ("renew", "record_progress"):
        job = claimed(lease_expires_at=LONG_AGO)
        before = database_time()
        WRITES[name](job.pk, lease_of(job))
        job.refresh_from_db()
        assert job.lease_expires_at is not None
        assert before <= job.lease_expires_at - timedelta(seconds=30) <= database_time()


def test_progress_adds_up_and_keeps_what_is_not_told() -> None:
    job = claimed()
    run = Run(job)
    run.record_progress(total=10, checkpoint={"after": 3})
    run.record_progress(processed=2, superseded=1)
    run.record_progress(processed=3, failed=1)
    job.refresh_from_db()
    assert (job.total, job.processed, job.failed, job.superseded) == (10, 5, 1, 1)
    assert job.checkpoint == {"after": 3}


def test_a_failure_of_one_organization_is_recorded_once() -> None:
    run = Run(claimed())
    for error in ("first", "second"):
        run.record_failure(7, error)
    assert list(JobFailure.objects.values_list("organization_id", "error")) == [(7, "first")]
