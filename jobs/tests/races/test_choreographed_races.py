"""Two steps on one job, the second waiting for the first: who comes second finds what the first has done.

Each has a twin in which the guard is taken away, and which must go wrong: it shows that the race is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.engine import claiming, lifecycle, rescuer, transitions
from jobs.engine.models import Job, Queue
from jobs.engine.states import TRANSITIONS
from jobs.errors import LeaseLost, NotRetryable, TransitionRefused
from jobs.operations import job_operations
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, claimed, lease_of, make_due, statuses, waiting
from jobs.tests.races.threads import Background
from orgs.tests.replacing import replaced

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wake_ups")]


@contextmanager
def holding(job: Job) -> Iterator[None]:
    """A transaction that holds the job's row from the start to the end."""
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        yield


def unguarded(job_id: int, name: str, *, lease: UUID | None = None, **columns: Any) -> None:
    """`moves.move` without comparing anything: the last one wins."""
    columns |= {"lease_token": None, "lease_expires_at": None}
    Job.objects.filter(pk=job_id).update(status=TRANSITIONS[name].target, **columns)


@contextmanager
def without_guards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither compare-and-set nor the trigger behind it."""
    monkeypatch.setattr(transitions, "transition", unguarded)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_job DISABLE TRIGGER jobs_only_known_moves")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE jobs_job ENABLE TRIGGER jobs_only_known_moves")


def rescue_while_completing(job: Job) -> Background:
    """The late worker's end waits while its job is rescued."""
    with holding(job):
        late = Background(partial(lifecycle.complete, job_id=job.pk, lease=lease_of(job)))
        late.wait_until_blocked()
        lifecycle.rescue(job_id=job.pk)
    return late


def complete_while_rescuing(job: Job) -> Background:
    """The rescue waits while the late worker ends its job."""
    with holding(job):
        late = Background(partial(lifecycle.rescue, job_id=job.pk))
        late.wait_until_blocked()
        lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    return late


def test_a_late_end_finds_the_job_rescued() -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    late = rescue_while_completing(job)
    with pytest.raises(LeaseLost):
        late.result()
    assert statuses(job) == ["RETRYING", "PENDING"]


def test_without_guards_a_late_end_would_complete_a_job_that_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    with without_guards(monkeypatch):
        rescue_while_completing(job).result()
    assert statuses(job) == ["COMPLETED", "PENDING"]


def test_a_late_rescue_finds_the_job_complete() -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    late = complete_while_rescuing(job)
    with pytest.raises(TransitionRefused):
        late.result()
    assert statuses(job) == ["COMPLETED"]


def test_without_guards_a_late_rescue_would_do_a_complete_job_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    with without_guards(monkeypatch):
        complete_while_rescuing(job).result()
    assert statuses(job) == ["RETRYING", "PENDING"]


def test_a_lease_renewed_at_the_last_moment_is_not_rescued() -> None:
    job = claimed(lease_expires_at=LONG_AGO)
    with holding(job):
        late = Background(partial(lifecycle.rescue, job_id=job.pk))
        late.wait_until_blocked()
        lifecycle.renew(job_id=job.pk, lease=lease_of(job))
    with pytest.raises(TransitionRefused):
        late.result()
    assert statuses(job) == ["IN_PROGRESS"]


def claim_while_claiming() -> tuple[Job | None, Job | None]:
    """Two claims of a queue that lets one job run at a time."""
    waiting(), waiting()
    Queue.objects.filter(name=QUEUE).update(concurrency=1)
    with transaction.atomic():
        first = claiming.claim(queue=QUEUE, worker="first")
        second = Background(partial(claiming.claim, queue=QUEUE, worker="second"))
        second.wait_until_blocked()
    return first, second.result()


def test_a_claim_waits_for_the_one_before_it_and_then_finds_the_queue_full() -> None:
    first, second = claim_while_claiming()
    assert first is not None
    assert second is None


def test_without_the_queues_lock_two_would_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(), waiting()
    Queue.objects.filter(name=QUEUE).update(concurrency=1)
    monkeypatch.setattr(claiming, "LOCK_QUEUE", replaced(claiming.LOCK_QUEUE, "FOR NO KEY UPDATE", ""))
    with transaction.atomic():
        first = claiming.claim(queue=QUEUE, worker="first")
        second = Background(partial(claiming.claim, queue=QUEUE, worker="second")).result()
    assert None not in (first, second)


def test_a_claim_passes_by_a_job_that_is_being_cancelled() -> None:
    cancelled, other = waiting(priority=1), waiting()
    with transaction.atomic():
        job_operations.cancel(job_id=cancelled.pk, by="bob")
        assert Background(partial(claiming.claim, queue=QUEUE, worker="worker")).result() == other
    assert statuses(cancelled) == ["CANCELLED"]


def test_a_cancellation_that_waited_for_a_claim_asks_the_running_job_to_stop() -> None:
    job = waiting()
    with transaction.atomic():
        claiming.claim(queue=QUEUE, worker="worker")
        late = Background(partial(job_operations.cancel, job_id=job.pk, by="bob"))
        late.wait_until_blocked()
    assert late.result().status == "IN_PROGRESS"
    job.refresh_from_db()
    assert job.cancel_requested_at is not None


def test_a_cancellation_of_a_chain_that_waited_for_a_claim_asks_the_retry_to_stop() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    make_due()
    with transaction.atomic():
        again = claiming.claim(queue=QUEUE, worker="worker")
        late = Background(partial(job_operations.cancel, job_id=first.pk, by="bob"))
        late.wait_until_blocked()
    assert late.result() == again
    assert statuses(first) == ["RETRYING", "IN_PROGRESS"]


def test_a_move_finds_that_another_was_made_meanwhile() -> None:
    """Compare-and-set by itself: whatever a function has read before, the status decides in the statement."""
    job = waiting()
    with transaction.atomic():
        transitions.transition(job.pk, "cancel")
        late = Background(partial(transitions.transition, job.pk, "cancel"))
        late.wait_until_blocked()
    with pytest.raises(TransitionRefused):
        late.result()


def test_a_pause_that_waited_for_a_claim_holds_from_the_next_on() -> None:
    waiting(), waiting()
    with transaction.atomic():
        assert claiming.claim(queue=QUEUE, worker="worker") is not None
        pause = Background(lambda: Queue.objects.filter(name=QUEUE).update(paused_at=Now()))
        pause.wait_until_blocked()
    pause.result()
    assert claiming.claim(queue=QUEUE, worker="worker") is None


def test_of_two_people_who_retry_the_second_finds_the_first_ones_attempt() -> None:
    job = claimed()
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
    with transaction.atomic():
        job_operations.retry(job_id=job.pk, by="alice")
        late = Background(partial(job_operations.retry, job_id=job.pk, by="bob"))
        late.wait_until_blocked()
    with pytest.raises(NotRetryable):
        late.result()
    assert statuses(job) == ["RETRYING", "PENDING"]


def test_the_rescuer_passes_by_a_job_that_somebody_has_in_hand() -> None:
    held, other = waiting(), waiting()
    with holding(held):
        assert Background(rescuer.wake_waiting).result() == 1
    for job in (held, other):
        job.refresh_from_db()
    assert held.woken_at is None
    assert other.woken_at is not None


def test_progress_that_waited_for_a_rescue_is_refused_and_its_rows_with_it() -> None:
    job = changed(claimed(), lease_expires_at=LONG_AGO)

    def chunk() -> None:
        with transaction.atomic():
            Queue.objects.create(name="a row of the chunk")
            lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), processed=1)

    with holding(job):
        late = Background(chunk)
        late.wait_until_blocked()
        lifecycle.rescue(job_id=job.pk)
    with pytest.raises(LeaseLost):
        late.result()
    assert not Queue.objects.filter(name="a row of the chunk").exists()
