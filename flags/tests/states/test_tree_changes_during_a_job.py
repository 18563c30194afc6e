"""Organizations that come and go between two chunks of a job end as the requests say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import Cast
from flags.states.models import FlagState
from flags.states.propagation import ORGANIZATION_DELETED
from flags.states.set_flag import set_flag
from flags.tests.states import faults
from flags.tests.states.stepping import SteppedWorker, pause_before_chunks
from jobs.engine import rescuer
from jobs.engine.models import Job, Queue
from jobs.operations import job_operations
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, set_smallest_chunk: Callable[[int], None]) -> Iterator[SteppedWorker]:
    """A worker that writes two organizations with each step."""
    pause_before_chunks(monkeypatch)
    set_smallest_chunk(2)
    worker = SteppedWorker("stepped")
    yield worker
    worker.quit()


def set_on(organization_id: int, *, enabled: bool = True, flag: str = "f") -> Job:
    job = set_flag(organization_id=organization_id, flag_key=flag, enabled=enabled).job
    assert job is not None
    return job


def values() -> dict[int, tuple[bool | None, int | None]]:
    return {row.organization_id: (row.enabled, row.source_id) for row in FlagState.objects.all()}


def ended(job: Job, worker: SteppedWorker) -> Job:
    while worker.busy or worker.start():
        worker.finish()
    job.refresh_from_db()
    return job


def test_one_that_is_created_above_or_below_what_is_written_already_is_reached(
    cast: Cast, worker: SteppedWorker
) -> None:
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(2)
    below_written = tree_operations.create(name="n", key="n", parent_id=cast.acme.pk)
    below_unwritten = tree_operations.create(name="m", key="m", parent_id=cast.rome.pk)
    done = ended(job, worker)
    assert (done.status, done.processed, done.total) == ("COMPLETED", 8, 8)
    assert values() == dict.fromkeys(
        [each.pk for each in [*cast.of_acme, below_written, below_unwritten]], (True, cast.acme.pk)
    )


def test_one_that_is_moved_in_behind_the_job_is_reached(cast: Cast, worker: SteppedWorker) -> None:
    late = tree_operations.create(name="late", key="late")
    tree_operations.create(name="later", key="later", parent_id=late.pk)
    job = set_on(late.pk)
    worker.start()
    worker.step(3)  # past all that there is
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=late.pk)
    assert ended(job, worker).status == "COMPLETED"
    assert values()[cast.oslo.pk] == (True, late.pk)


def test_one_that_is_moved_out_ahead_of_the_job_leaves_the_change_behind(cast: Cast, worker: SteppedWorker) -> None:
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(1)
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)
    assert ended(job, worker).status == "COMPLETED"
    assert values()[cast.rome.pk] == (None, None)
    assert cast.rival.pk not in values()


def test_one_that_is_moved_where_the_flag_is_set_has_what_holds_there(cast: Cast, worker: SteppedWorker) -> None:
    ended(set_on(cast.rival.pk, enabled=False), worker)
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(1)
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)
    ended(job, worker)
    assert values()[cast.south.pk] == values()[cast.rome.pk] == (False, cast.rival.pk)
    assert values()[cast.bergen.pk] == (True, cast.acme.pk)


def test_what_was_moved_away_and_back_has_what_the_last_place_gives(cast: Cast, worker: SteppedWorker) -> None:
    ended(set_on(cast.rival.pk, enabled=False), worker)
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(1)
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.acme.pk)
    ended(job, worker)
    assert values()[cast.rome.pk] == (True, cast.acme.pk)


def test_a_job_whose_organization_is_deleted_under_it_has_nothing_left_to_do(cast: Cast, worker: SteppedWorker) -> None:
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(1)
    tree_operations.delete(organization_id=cast.acme.pk, subtree=True)
    done = ended(job, worker)
    assert (done.status, done.processed, done.total, done.retry_count) == ("COMPLETED", 2, 2, 0)
    assert done.error_message == ORGANIZATION_DELETED
    assert values() == {}


def test_what_is_deleted_ahead_of_the_job_is_not_counted(cast: Cast, worker: SteppedWorker) -> None:
    job = set_on(cast.acme.pk)
    worker.start()
    worker.step(1)
    tree_operations.delete(organization_id=cast.south.pk, subtree=True)
    done = ended(job, worker)
    assert (done.status, done.processed, done.total) == ("COMPLETED", 4, 4)


def test_a_change_that_failed_for_one_organization_is_left_behind_when_that_one_is_moved(
    cast: Cast, worker: SteppedWorker
) -> None:
    """A retry covers those below the change's organization, and it is no longer there."""
    with faults.refusals():
        faults.refuse(cast.rome.pk)
        assert ended(set_on(cast.acme.pk), worker).failed == 1
        faults.refuse()
    assert cast.rome.pk not in values()
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)
    assert values()[cast.rome.pk] == (None, None)


def test_a_retry_covers_those_that_lack_one_of_several_values(cast: Cast, worker: SteppedWorker, settings: Any) -> None:
    """A move brings two flags; one of them was set anew where the move's job failed."""
    settings.FLAGS_INLINE_ROWS = 0
    for flag in ("f", "g"):
        ended(set_on(cast.rival.pk, flag=flag), worker)
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)
    with faults.refusals():
        faults.refuse(cast.rome.pk)
        job = ended(Job.objects.get(organization=cast.south), worker)
        faults.refuse()
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 1, 1)
    set_flag(organization_id=cast.rome.pk, flag_key="g", enabled=False)
    again = ended(job_operations.retry(job_id=job.pk, by="bob"), worker)
    assert (again.total, again.processed, again.superseded) == (1, 1, 0)
    rows = {row.flag.key: row.enabled for row in FlagState.objects.filter(organization=cast.rome)}
    assert rows == {"f": True, "g": False}


def test_a_change_whose_chain_has_failed_holds_for_what_comes_and_not_for_what_leaves(
    cast: Cast, worker: SteppedWorker
) -> None:
    """Its setting stands, so a retry carries it to the others."""
    job = set_on(cast.acme.pk)
    Queue.objects.update(max_retries=0)
    worker.start()
    worker.kill()
    Job.objects.update(lease_expires_at="2000-01-01T00:00:00Z")
    rescuer.rescue_expired()
    job.refresh_from_db()
    assert job.status == "FAILED"
    tree_operations.move(organization_id=cast.rival.pk, parent_id=cast.acme.pk)
    tree_operations.move(organization_id=cast.south.pk, parent_id=None)
    assert values() == dict.fromkeys([cast.rival.pk, cast.rival_store.pk], (True, cast.acme.pk)) | dict.fromkeys(
        [cast.south.pk, cast.rome.pk], (None, None)
    )
    job_operations.retry(job_id=job.pk, by="bob")
    assert ended(job, worker).status == "COMPLETED"
    outside = {cast.south.pk, cast.rome.pk}
    assert {value for place, value in values().items() if place not in outside} == {(True, cast.acme.pk)}
    assert len(values()) == 8
