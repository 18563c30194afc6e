"""How long an attempt may take: it ends by itself when it is asked, and its process is ended when it does not."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.engine import kinds, lifecycle, process_watch, time_limits, watch_service, worker_registry
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.runner import run_next
from jobs.engine.watch_service import ENDED, WatchService
from jobs.errors import LeaseLost
from jobs.tests.engine_steps import QUEUE, claimed, endings, latest, waiting

pytestmark = pytest.mark.django_db
LIMITED, STALLING = "limited-of-a-test", "stalling-of-a-test"


@pytest.fixture(autouse=True)
def slots_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of its own: children that other tests have killed have left their pids in the memory that all share."""
    monkeypatch.setattr(process_watch, "_slots", mmap.mmap(-1, len(process_watch._slots)))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The monotonic clock of the limits, which a test may move."""
    clock = [1000.0]
    monkeypatch.setattr(time_limits, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    yield clock
    process_watch.unwatch()


def ran(kind: str, work: Any, **limits: float) -> Job:
    """Let a worker run a job that does `work`; return its first attempt."""
    job_kind(kind, **limits)(work)
    job = lifecycle.create(kind=kind)
    run_next(QUEUE)
    job.refresh_from_db()
    return job


def test_the_setting_limits_the_attempts_of_reports_and_statistics(settings: Any) -> None:
    found = map(kinds.kind_named, kinds.known_kinds())
    limited = {kind.name for kind in found if kind.attempt_seconds == settings.DEFAULT_JOB_TIMEOUT}
    assert {"report", "statistic"} <= limited


def test_an_attempt_that_takes_too_long_fails_in_words_and_is_tried_again(now: list[float]) -> None:
    def work(run: Run) -> None:
        now[0] += 599
        run.check()
        now[0] += 2
        run.check()

    job = ran(LIMITED, work, attempt_seconds=600)
    assert endings(job) == ["FAILED", "PENDING"]
    assert job.error_message == "The attempt took longer than 600 s."


def test_work_that_asks_for_more_time_gets_it(now: list[float]) -> None:
    def work(run: Run) -> None:
        now[0] += 599
        run.extend(100)
        now[0] += 99
        run.check()

    assert endings(ran(LIMITED, work, attempt_seconds=600)) == ["COMPLETED"]


def test_progress_and_a_wait_that_reloads_are_no_stall(now: list[float]) -> None:
    def work(run: Run) -> None:
        for step in (lambda: run.record_progress(processed=1), run.reload) * 3:
            now[0] += 29
            step()
            run.check()
        now[0] += 31
        run.check()

    job = ran(STALLING, work, stall_seconds=30)
    assert (job.error_message, job.processed) == ("The attempt made no progress for 30 s.", 3)


def test_a_kind_without_limits_is_not_watched(now: list[float]) -> None:
    def work(run: Run) -> None:
        now[0] += 1e9
        run.check()
        assert not list(process_watch.watched())

    assert endings(ran("unlimited-of-a-test", work)) == ["COMPLETED"]


def test_a_process_is_watched_from_the_start_of_its_job_to_the_end(now: list[float]) -> None:
    def work(run: Run) -> None:
        (watched,) = process_watch.watched()
        assert (watched.pid, watched.job_id, watched.end_at) == (os.getpid(), run.job.pk, 1000 + 600 + 30)
        run.extend(700)
        assert next(process_watch.watched()).end_at == 1000 + 700 + 30

    assert endings(ran(LIMITED, work, attempt_seconds=600)) == ["COMPLETED"]
    assert not list(process_watch.watched())


def test_a_process_that_does_not_end_is_killed_and_its_attempt_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    monkeypatch.setattr(watch_service, "is_own_child", lambda pid: True)
    job = claimed(worker=worker_registry.process_name(4_000_000))
    process_watch._write(7, 4_000_000, job.pk, 0.0)
    service = WatchService()
    for step in list(service.steps()):
        service.attempt(step)
    assert killed == [(4_000_000, 9)]
    assert endings(job) == ["FAILED", "PENDING"]
    job.refresh_from_db()
    assert job.error_message == ENDED
    assert not list(process_watch.watched())


def test_a_process_that_got_the_pid_of_a_dead_child_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    process_watch._write(7, os.getppid(), 1, 0.0)
    service = WatchService()
    for step in list(service.steps()):
        service.attempt(step)
    assert killed == []
    assert not list(process_watch.watched())


def test_another_process_ends_nothing_of_a_job_that_went_on_elsewhere() -> None:
    job = claimed(worker=worker_registry.process_name(4_000_000))
    with pytest.raises(LeaseLost):
        lifecycle.fail_killed(job_id=job.pk, pid=4_000_001, error=ENDED)
    assert latest(waiting()).status == "PENDING"


def test_an_attempt_that_goes_on_long_after_its_end_counts_as_hung(now: list[float]) -> None:
    hung = []

    def work(run: Run) -> None:
        for seconds in (599, 30, 2):
            now[0] += seconds
            hung.append(run.heartbeat._is_hung())

    ran(LIMITED, work, attempt_seconds=600)
    assert hung == [False, False, True]
