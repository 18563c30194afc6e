"""Many at once: claims, rescues and ends of the same jobs, each on its own connection."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection

from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, Queue
from jobs.errors import FlagsiteError
from jobs.operations import job_operations
from jobs.tests.engine_steps import LONG_AGO, QUEUE, claimed, lease_of, statuses, waiting

pytestmark = pytest.mark.django_db(transaction=True)


def _at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Do it in so many threads at the same moment; what each returned or raised."""
    results: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait()
            results[number] = act(number)
        except FlagsiteError as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _both(acts: list[Callable[[], Any]]) -> list[Any]:
    """Do both at the same moment."""
    return _at_once(len(acts), lambda number: acts[number]())


def test_each_job_has_one_winner() -> None:
    jobs = {waiting().pk for _ in range(24)}

    def claim_until_empty(number: int) -> list[int]:
        won = []
        while (job := claiming.claim(queue=QUEUE, worker=str(number))) is not None:
            won.append(job.pk)
        return won

    won = Counter(pk for each in _at_once(6, claim_until_empty) for pk in each)
    assert set(won) == jobs
    assert set(won.values()) == {1}


def test_racing_claims_do_not_exceed_a_queues_concurrency() -> None:
    Queue.objects.filter(name=QUEUE).update(concurrency=3)
    for _ in range(12):
        waiting()
    taken = _at_once(8, lambda number: claiming.claim(queue=QUEUE, worker=str(number)))
    assert sum(job is not None for job in taken) == 3


def test_racing_rescues_write_one_retry() -> None:
    first = claimed(lease_expires_at=LONG_AGO)
    ends = _at_once(6, lambda _: lifecycle.rescue(job_id=first.pk))
    assert sum(isinstance(end, Job) for end in ends) == 1
    assert statuses(first) == ["RETRYING", "PENDING"]


def test_of_a_late_end_and_a_rescue_one_wins() -> None:
    for _ in range(5):
        first = claimed(lease_expires_at=LONG_AGO)
        acts: list[Callable[[], Any]] = [
            partial(lifecycle.rescue, job_id=first.pk),
            partial(lifecycle.complete, job_id=first.pk, lease=lease_of(first)),
        ]
        ends = _both(acts)
        assert sum(isinstance(end, FlagsiteError) for end in ends) == 1
        assert statuses(first) in (["RETRYING", "PENDING"], ["COMPLETED"])
        Job.objects.all().delete()


def test_of_a_claim_and_a_cancellation_the_job_obeys_both() -> None:
    for _ in range(5):
        job = waiting()
        claim = partial(claiming.claim, queue=QUEUE, worker="worker")
        taken, cancelled = _both([claim, partial(job_operations.cancel, job_id=job.pk, by="somebody")])
        job.refresh_from_db()
        assert cancelled.pk == job.pk
        assert job.cancel_requested_at
        assert job.status == ("CANCELLED" if taken is None else "IN_PROGRESS")
        Job.objects.all().delete()


def test_two_people_who_retry_at_once_start_one_round() -> None:
    first = claimed()
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no", permanent=True)
    ends = _at_once(4, lambda number: job_operations.retry(job_id=first.pk, by=str(number)))
    assert sum(isinstance(end, Job) for end in ends) == 1
    assert statuses(first) == ["RETRYING", "PENDING"]
