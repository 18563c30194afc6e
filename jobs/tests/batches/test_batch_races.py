"""Members that end at the same moment, and others who change the batch meanwhile, each on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from flagsite.core import actor
from jobs.batches import ending, operations
from jobs.batches.creation import CreatedBatch, add_members, create_batch
from jobs.batches.models import Batch
from jobs.engine import transitions
from jobs.engine.models import Job
from jobs.errors import BatchEnded, FlagsiteError
from jobs.operations import job_operations
from jobs.tests.batches.batch_steps import batch_of, callbacks, claim, complete, fail, fresh, members, outcome
from jobs.tests.races.threads import Background

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Do all at the same moment; what each returned or raised."""
    results: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(number: int) -> None:
        try:
            start.wait()
            with actor.acting("worker", actor=actor.SYSTEM):
                results[number] = acts[number]()
        except FlagsiteError as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_last_members_that_end_at_once_exactly_one_ends_the_batch() -> None:
    for count in (2, 2, 2, 5):
        batch = batch_of(count)
        jobs = [claim() for _ in range(count)]
        at_once([partial(complete, job) for job in jobs])
        assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_the_last_but_one_member_does_not_see_what_the_last_one_has_not_committed() -> None:
    """Both have ended, and the second waits for the batch. With its old view of the members, nobody would end it."""
    batch = batch_of(2)
    first, second = claim(), claim()
    with transaction.atomic():
        complete(first)
        other = Background(lambda: complete(second))
        other.wait_until_blocked()
        assert fresh(batch).is_open
    other.result()
    assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_a_retry_by_a_person_and_the_end_of_the_last_member_leave_one_callback_for_each_end() -> None:
    for _ in range(4):
        batch = batch_of(2)
        failed, last = claim(), claim()
        fail(failed)
        at_once([partial(complete, last), partial(job_operations.retry, job_id=failed.pk, by="olga")])
        again = fresh(batch)
        assert again.is_open
        complete(claim())
        assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", list(range(1, again.generation + 1)))


def test_members_that_are_added_while_the_last_one_ends_are_in_or_refused() -> None:
    for _ in range(4):
        batch = batch_of(1)
        last = claim()
        added, _ = at_once([partial(add_members, batch.pk, members(1)), partial(complete, last)])
        if isinstance(added, BatchEnded):
            assert (fresh(batch).total, callbacks(batch)) == (1, [1])
        else:
            assert (fresh(batch).total, callbacks(batch)) == (2, [])
            complete(claim())
        assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_two_people_who_retry_a_batch_at_once_begin_one_generation() -> None:
    batch = batch_of(3)
    for _ in range(3):
        fail(claim())
    retry = partial(operations.retry_failed_members, batch.pk, by="olga")
    ends = at_once([retry, retry, retry])
    assert sum(isinstance(end, operations.BatchOperation) for end in ends) == 1
    assert fresh(batch).generation == 2
    assert Job.objects.filter(batch=batch, trigger="manual").count() == 3


def test_a_cancellation_and_the_ends_of_members_leave_nothing_open() -> None:
    for _ in range(4):
        batch = batch_of(4)
        jobs = [claim(), claim()]
        at_once([partial(operations.cancel, batch.pk, by="olga"), *(partial(complete, job) for job in jobs)])
        assert not fresh(batch).is_open
        assert callbacks(batch) == [1]


def test_a_cancellation_cancels_the_members_that_are_added_while_it_waits_for_the_batch() -> None:
    batch = batch_of(1)
    with transaction.atomic():
        add_members(batch.pk, members(2))
        cancellation = Background(lambda: operations.cancel(batch.pk, by="olga"))
        cancellation.wait_until_blocked()
    assert cancellation.result().result.count == 3
    assert outcome(batch) == "CANCELLED"


def test_of_batches_with_one_key_that_are_created_at_once_one_is_created() -> None:
    created = at_once([partial(create_batch, "b", members(2), key="k")] * 4)
    assert all(isinstance(each, CreatedBatch) for each in created)
    assert sum(not each.is_deduplicated for each in created) == 1
    assert Batch.objects.count() == 1
    assert Job.objects.filter(batch__isnull=False).count() == 2


def test_a_heal_and_the_last_member_end_the_batch_once() -> None:
    for _ in range(4):
        batch = batch_of(1)
        job = claim()
        healed, *_ = at_once([ending.heal, partial(complete, job)])
        assert healed == 0
        assert (outcome(batch), callbacks(batch)) == ("SUCCEEDED", [1])


def test_a_retry_of_many_waits_for_a_chain_before_it_holds_the_batch() -> None:
    """Locks in another order would block each other for ever."""
    batch = batch_of(2)
    for _ in range(2):
        fail(claim())
    first = Job.objects.filter(batch=batch).earliest("pk")
    with transaction.atomic():
        transitions.lock_chain(first.pk)
        retry = Background(lambda: operations.retry_failed_members(batch.pk, by="olga"))
        retry.wait_until_blocked()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        ending.locked(batch.pk)
    assert retry.result().result.count == 2
