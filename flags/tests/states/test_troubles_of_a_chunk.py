"""What a chunk meets that is nobody's fault: it is tried again and counts nothing twice, or the attempt fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, transaction

from conftest import Cast
from flags.states import propagation, sql
from flags.states.models import FlagState
from flags.states.propagation import Walk
from flags.states.set_flag import set_flag
from flags.tests.states import faults
from jobs.engine import runner, stop_request
from jobs.engine.models import Job, JobFailure
from jobs.engine.run import Run
from jobs.operations import job_operations
from jobs.tests.races.threads import Background
from orgs.tests.replacing import replaced
from orgs.tree import locks, tree_operations
from orgs.tree.subtrees import Subtree

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_and_quiet(wake_ups: list[str], set_smallest_chunk: Callable[[int], None]) -> None:
    set_smallest_chunk(2)


def set_on(organization_id: int, *, enabled: bool = True) -> Job:
    job = set_flag(organization_id=organization_id, flag_key="f", enabled=enabled).job
    assert job is not None
    return job


def carried_out(job: Job) -> Job:
    runner.run_next("propagation")
    job.refresh_from_db()
    return job


def before_writing(monkeypatch: pytest.MonkeyPatch, happen: Callable[[sql.Span], None]) -> None:
    """Something happens in each chunk's transaction, before its rows are written."""
    write_decided = sql.write_decided

    def written(subtree: Subtree, span: sql.Span, *rest: Any, **named: Any) -> sql.Written:
        happen(span)
        return write_decided(subtree, span, *rest, **named)

    monkeypatch.setattr(sql, "write_decided", written)


def test_a_real_deadlock_is_tried_again_and_counts_nothing_twice(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    carried_out(set_on(cast.acme.pk))
    lock = "SELECT FROM flags_flagstate WHERE organization_id = %s FOR UPDATE"
    others: list[Background] = []
    locked = threading.Event()

    def rival() -> None:
        """Lock one of the chunk's rows, wait until the chunk waits for it, and want another.

        It does not look for deadlocks itself, so it is the chunk that does, and gives way.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '1min'")
            cursor.execute(lock, [cast.south.pk])
            locked.set()
            first.wait_until_blocked()
            cursor.execute(lock, [cast.acme.pk])

    def meet(span: sql.Span) -> None:
        if not others:
            with connection.cursor() as cursor:
                cursor.execute(lock, [cast.acme.pk])
            others.append(Background(rival))
            assert locked.wait(10)

    before_writing(monkeypatch, meet)
    monkeypatch.setattr(propagation, "MIN_CHUNK_SIZE", 10)
    job = set_on(cast.acme.pk, enabled=False)
    first = Background(lambda: runner.run_next("propagation"))
    first.result()
    others[0].result()
    job.refresh_from_db()
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 6, 0)
    assert set(FlagState.objects.values_list("enabled", flat=True)) == {False}


def test_a_chunk_that_took_too_long_is_tried_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [True, True]

    def dawdle(span: sql.Span) -> None:
        if slow:
            slow.pop()
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(5)")

    before_writing(monkeypatch, dawdle)
    job = carried_out(set_on(cast.acme.pk))
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 6, 0)


def test_a_chunk_whose_worker_was_frozen_gives_up_its_locks_and_is_tried_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = replaced(sql.BEGIN_CHUNK, "transaction_session_timeout = '20s'", "transaction_session_timeout = '50ms'")
    monkeypatch.setattr(sql, "BEGIN_CHUNK", shorter)
    job = set_on(cast.acme.pk)
    frozen = [True]

    def freeze(span: sql.Span) -> None:
        if frozen:
            frozen.clear()
            Job.objects.select_for_update().get(pk=job.pk)
            Background(lambda: Job.objects.filter(pk=job.pk).update(worker="rescued")).result()

    before_writing(monkeypatch, freeze)
    job = carried_out(job)
    assert (job.worker, job.status, job.processed, job.failed) == ("rescued", "COMPLETED", 6, 0)


@pytest.fixture
def brief_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk looks up from its wait for the tree at once."""
    monkeypatch.setattr(sql, "BEGIN_CHUNK", replaced(sql.BEGIN_CHUNK, "'10s'", "'20ms'"))


@contextmanager
def held_tree() -> Iterator[Background]:
    """A propagation of another thread that waits for the tree, and has looked up from its wait."""
    looked_up = threading.Event()
    reload = Run.reload

    def reloaded(run: Run) -> Job:
        looked_up.set()
        return reload(run)

    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(Run, "reload", reloaded)
        locks.lock_all_trees_for_writing()
        work = Background(lambda: runner.run_next("propagation"))
        assert looked_up.wait(10)
        yield work


@pytest.mark.usefixtures("brief_look")
def test_a_long_wait_for_the_tree_fails_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "RETRY_TIMEOUT_SECONDS", 0.0)
    job = set_on(cast.acme.pk)
    with held_tree() as work:
        pass
    work.result()
    job.refresh_from_db()
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 6, 0)


@pytest.mark.usefixtures("brief_look")
def test_a_worker_that_waits_for_the_tree_hears_that_it_is_to_stop(cast: Cast) -> None:
    job = set_on(cast.acme.pk)
    try:
        with held_tree() as work:
            stop_request.request_stop()
            work.result()
    finally:
        stop_request.withdraw()
    job.refresh_from_db()
    assert (job.status, job.claims) == ("PENDING", 1)


@pytest.mark.usefixtures("brief_look")
def test_a_job_that_waits_for_the_tree_can_be_cancelled(cast: Cast) -> None:
    job = set_on(cast.acme.pk)
    with held_tree() as work:
        cancelling = Background(lambda: job_operations.cancel(job_id=job.pk, by="ada"))
        cancelling.result()
        work.result()
    job.refresh_from_db()
    assert (job.status, job.processed) == ("CANCELLED", 0)


def test_the_wait_for_the_tree_is_not_taken_for_a_slow_chunk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    now, took = [0.0], []
    begin_chunk = sql.begin_chunk

    def begun(*arguments: Any) -> Subtree | None:
        now[0] += 1000
        return begin_chunk(*arguments)

    monkeypatch.setattr(propagation, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(sql, "begin_chunk", begun)
    monkeypatch.setattr(Walk, "_adjust_chunk_size", lambda walk, count, seconds: took.append(seconds))
    assert carried_out(set_on(cast.acme.pk)).status == "COMPLETED"
    assert set(took) == {0}


def test_chunks_shrink_when_they_are_slow_and_grow_back(cast: Cast) -> None:
    job = set_on(cast.acme.pk)
    job.total = 10_000
    job.lease_token = uuid4()
    walk = Walk(Run(job), cast.acme.pk, [])
    walk._adjust_chunk_size(100, propagation.MAX_CHUNK_SECONDS * 4)
    assert walk.chunk_size == 25
    sizes = []
    for _ in range(4):
        walk._adjust_chunk_size(walk.chunk_size, propagation.MAX_CHUNK_SECONDS / 5)
        sizes.append(walk.chunk_size)
    assert sizes == [50, 100, 100, 100]
    walk._adjust_chunk_size(100, propagation.MAX_CHUNK_SECONDS / 2)
    assert walk.chunk_size == 100


def test_a_commit_whose_answer_was_lost_is_not_done_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    write_chunk, lost = Walk.write_chunk, [True]

    def written(walk: Walk, most: int) -> bool:
        more = write_chunk(walk, most)
        if lost:
            lost.pop()
            walk.run.job.checkpoint = None  # the answer did not come: the worker does not know how far it is
            raise OperationalError("server closed the connection unexpectedly")
        return more

    monkeypatch.setattr(Walk, "write_chunk", written)
    job = carried_out(set_on(cast.acme.pk))
    assert (job.status, job.processed) == ("COMPLETED", 6)


def test_the_servers_own_trouble_fails_the_attempt_and_blames_no_organization(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(span: sql.Span) -> None:
        raise OperationalError("no space left on device") from psycopg.errors.DiskFull()

    before_writing(monkeypatch, no_room)
    monkeypatch.setattr(propagation, "RETRY_TIMEOUT_SECONDS", 0.0)
    job = carried_out(set_on(cast.acme.pk))
    assert (job.status, job.failed) == ("RETRYING", 0)
    assert "no space left" in (job.error_message or "")
    assert not JobFailure.objects.exists()


def test_when_the_one_at_fault_is_deleted_the_next_is_not_blamed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the failure of the last small piece and the record of it, another organization may come first."""
    write_or_skip_one, gone = Walk.write_or_skip_one, []

    def delete_first(walk: Walk) -> None:
        gone.append(tree_operations.delete(organization_id=cast.oslo.pk))
        write_or_skip_one(walk)

    monkeypatch.setattr(Walk, "write_or_skip_one", delete_first)
    with faults.refusals():
        faults.refuse(cast.oslo.pk)
        job = carried_out(set_on(cast.acme.pk))
    assert gone == [1]
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 5, 0)
    assert FlagState.objects.count() == 5


def test_a_failure_whose_record_was_not_answered_blames_nobody_else(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_or_skip_one, lost = Walk.write_or_skip_one, [True]

    def skipped(walk: Walk) -> None:
        write_or_skip_one(walk)
        if lost:
            lost.pop()
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(Walk, "write_or_skip_one", skipped)
    with faults.refusals():
        faults.refuse(cast.north.pk)
        job = carried_out(set_on(cast.acme.pk))
    assert (job.status, job.processed, job.failed) == ("COMPLETED", 5, 1)
    assert JobFailure.objects.get().organization_id == cast.north.pk


def test_an_error_that_no_trying_again_can_cure_is_not_tried_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, reconnections: list[str]
) -> None:
    tried: list[int] = []

    def refuse(span: sql.Span) -> None:
        tried.append(span.count)
        raise DataError("out of range")

    before_writing(monkeypatch, refuse)
    job = carried_out(set_on(cast.acme.pk))
    assert job.failed == 6
    assert reconnections == []
    assert sorted(tried) == [1] * 12 + [2] * 3
