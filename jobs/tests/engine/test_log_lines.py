"""What the engine says of a job: after the commit, once, with the attempt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from django.db import OperationalError, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs.engine import claiming, lifecycle, rescuer, runner
from jobs.engine.models import Job
from jobs.operations import job_operations, queue_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, changed, claimed, lease_of, make_due, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def said(wake_ups: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Any:
    """A context that collects what is said in it by the end of its transaction, as `event` and the fields named."""

    @contextmanager
    def collected(*fields: str) -> Iterator[list[tuple[Any, ...]]]:
        lines: list[tuple[Any, ...]] = []
        with structlog.testing.capture_logs() as captured, django_capture_on_commit_callbacks(execute=True):
            yield lines
        of_jobs = [line for line in captured if line["event"] != "operation_recorded"]
        lines += [(line["event"], *(line.get(field) for field in fields)) for line in of_jobs]

    return collected


def test_a_failure_says_which_retry_it_was_and_when_the_next_is(said: Any) -> None:
    job = claimed()
    with said("attempt", "willRetry", "waitSeconds") as lines:
        lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    assert lines == [("job_failed", "0/3", True, None), ("job_retry_scheduled", "1/3", None, 2.0)]
    for _ in range(3):
        make_due()
        job = claiming.claim(queue=QUEUE, worker="worker") or job
        with said("attempt", "willRetry") as lines:
            lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no")
    assert lines == [("job_failed", "3/3", False)]


def test_each_line_of_a_job_names_its_flag_and_value(said: Any) -> None:
    arguments = {"featureFlagName": "new-ui", "enabled": False}
    with said("flag", "enabled") as lines:
        waiting()
        job = lifecycle.create(kind=KIND, arguments=arguments)
        runner.run_claimed(claim_of(job))
        again = claimed(arguments=arguments)
        lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no", permanent=True)
    events = ["job_created", "job_created", "job_started", "job_completed", "job_created", "job_failed"]
    named = {event: fields for event, *fields in lines}
    assert sorted(event for event, *_ in lines) == sorted(events)
    assert [named[event] for event in ("job_started", "job_completed", "job_failed")] == [["new-ui", False]] * 3
    assert lines.count(("job_created", "new-ui", False)) == 1
    assert lines.count(("job_created", None, None)) == 2


def claim_of(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(priority=1000)
    found = claiming.claim(queue=QUEUE, worker="worker")
    assert found == job
    return found


def test_a_cancellation_is_said_whether_the_job_waits_runs_or_has_lost_its_worker(said: Any) -> None:
    with said("by") as lines:
        job_operations.cancel(job_id=waiting().pk, by="bob")
    assert lines[1:] == [("job_cancel_requested", "bob"), ("job_cancelled", "bob")]
    running, lost = claimed(), claimed()
    for job in (running, lost):
        job_operations.cancel(job_id=job.pk, by="bob")
    changed(lost, lease_expires_at=LONG_AGO)
    with said("jobId", "by") as lines:
        lifecycle.stop(job_id=running.pk, lease=lease_of(running))
        rescuer.rescue_expired()
    assert lines == [("job_cancelled", running.pk, "bob"), ("job_cancelled", lost.pk, "bob")]


def test_what_is_rolled_back_is_not_said(said: Any) -> None:
    job = claimed()

    def do_all() -> None:
        waiting()
        queue_operations.pause(QUEUE, by="bob")
        queue_operations.resume(QUEUE, by="bob")
        lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
        job_operations.retry(job_id=job.pk, by="bob")

    with said() as lines, pytest.raises(OperationalError), transaction.atomic():
        do_all()
        raise OperationalError
    assert lines == []
    with said() as lines:
        do_all()
    events = ["job_created", "queue_paused", "queue_resumed", "job_failed", "job_manual_retry"]
    assert [event for (event,) in lines] == events


@pytest.mark.usefixtures("reconnections")
def test_an_end_that_had_to_be_recorded_twice_is_said_once(said: Any) -> None:
    job, away = claimed(), [OperationalError("the connection is lost"), None]

    def end() -> None:
        with transaction.atomic():
            lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
            if error := away.pop(0):
                raise error

    with said() as lines:
        runner._persist(end)
    assert [event for (event,) in lines] == ["database_away", "job_failed"]
