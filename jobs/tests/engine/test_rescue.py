"""A job whose worker has died goes on by itself."""

from __future__ import annotations

import pytest

from jobs.engine import claiming, lifecycle, rescuer
from jobs.engine.models import Job
from jobs.errors import TransitionRefused
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, claimed, latest, lease_of, statuses, waiting

pytestmark = pytest.mark.django_db


def abandoned() -> Job:
    """A job whose worker has not been heard of for too long."""
    return claimed(lease_expires_at=LONG_AGO)


def test_a_dead_workers_job_has_a_retry_that_is_due_at_once() -> None:
    job = abandoned()
    assert rescuer.rescue_and_wake().rescued == 1
    assert statuses(job) == ["RETRYING", "PENDING"]
    assert claiming.claim(queue=QUEUE, worker="another") == latest(job)
    job.refresh_from_db()
    assert "The worker worker did not renew the lease in time" in (job.error_message or "")
    assert job.lease_token is None


def test_a_living_workers_job_is_left_alone() -> None:
    job = claimed()
    waiting()
    assert rescuer.rescue_expired() == 0
    assert statuses(job) == ["IN_PROGRESS"]
    with pytest.raises(TransitionRefused):
        lifecycle.rescue(job_id=job.pk)
    assert Job.objects.count() == 2


def test_a_job_that_kills_every_worker_fails_in_the_end() -> None:
    first = abandoned()
    for _ in range(3):
        assert rescuer.rescue_expired() == 1
        again = claiming.claim(queue=QUEUE, worker="worker")
        assert again is not None
        changed(again, lease_expires_at=LONG_AGO)
    assert rescuer.rescue_expired() == 1
    assert statuses(first) == ["FAILED"] * 4


def test_deaths_do_not_count_while_the_job_advances() -> None:
    first = abandoned()
    for done in (10, 20, 30, 40, 50, 60):
        changed(latest(first), processed=done)
        assert rescuer.rescue_expired() == 1
        again = claiming.claim(queue=QUEUE, worker="worker")
        assert again is not None
        assert again.round_attempt == 0
        changed(again, lease_expires_at=LONG_AGO)
    for deaths in (1, 2, 3):
        changed(latest(first), processed=60)  # as far as before
        rescuer.rescue_expired()
        again = claiming.claim(queue=QUEUE, worker="worker")
        assert again is not None
        assert again.round_attempt == deaths
        changed(again, lease_expires_at=LONG_AGO)
    changed(latest(first), processed=59)
    rescuer.rescue_expired()
    assert set(statuses(first)) == {"FAILED"}


def test_a_rescue_and_a_failure_count_together() -> None:
    first = abandoned()
    rescuer.rescue_expired()
    again = claiming.claim(queue=QUEUE, worker="worker")
    assert again is not None
    lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no")
    assert [job.round_attempt for job in Job.objects.of_chain(first.pk)] == [0, 1, 2]


def test_one_that_cannot_be_rescued_does_not_keep_the_others_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken, other = abandoned(), abandoned()
    changed(broken, lease_expires_at=LONG_AGO.replace(year=1999))
    rescue = lifecycle.rescue

    def rescue_but_one(*, job_id: int) -> Job | None:
        if job_id == broken.pk:
            raise ValueError("impossible")
        return rescue(job_id=job_id)

    monkeypatch.setattr(lifecycle, "rescue", rescue_but_one)
    assert rescuer.rescue_expired() == 1
    assert statuses(other) == ["RETRYING", "PENDING"]


def test_a_run_of_the_rescuer_takes_a_bounded_number_and_the_next_the_rest() -> None:
    for _ in range(3):
        abandoned()
    assert [rescuer.rescue_expired(at_most=2) for _ in range(3)] == [2, 1, 0]
