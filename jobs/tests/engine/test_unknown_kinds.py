"""Two releases at once: a job whose kind a worker does not know waits for a worker that knows it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import LazySettings

from jobs.console.waiting_reason import waiting_reason
from jobs.engine import claiming, kinds, lifecycle, rescuer, runner, wakeup, worker_registry
from jobs.engine.burst import Burst, BurstResult
from jobs.engine.models import Job, Queue
from jobs.engine.worker_model import Worker
from jobs.operations import job_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, changed, claimed, endings, statuses, waiting
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
NEW = "kind-of-the-next-release"


@pytest.fixture
def new() -> Job:
    """A due job of a kind that this process does not know, before all others."""
    return changed(waiting(run_at=LONG_AGO, priority=100), kind=NEW)


@contextmanager
def next_release() -> Iterator[None]:
    """While it lasts, this process knows the kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kinds._kinds, NEW, kinds.kind_named(KIND))
        yield


def worker_of(queues: list[str], known: list[str] | None) -> Worker:
    return Worker.objects.create(token=f"t{Worker.objects.count()}", host="h", pid=1, queues=queues, kinds=known)


@pytest.mark.parametrize("limits", [{}, {"is_fair": True}, {"concurrency": 5, "rate_allowed": 100}])
def test_the_job_lets_those_behind_it_pass_and_waits_for_a_process_that_knows_it(
    new: Job, limits: dict[str, int]
) -> None:
    Queue.objects.filter(name=QUEUE).update(**limits)
    other = waiting()
    assert runner.run_due(QUEUE) == [other]
    assert claiming.claim(queue=QUEUE, worker="old", job_id=new.pk) is None
    assert statuses(new) == ["PENDING"]
    with next_release():
        assert runner.run_due(QUEUE) == [new]
    assert statuses(new) == ["COMPLETED"]


def test_many_jobs_of_an_unknown_kind_do_not_fill_the_window_of_a_fair_queue(
    new: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "FAIR_WINDOW", 1)
    Queue.objects.filter(name=QUEUE).update(is_fair=True)
    other = waiting()
    changed(waiting(priority=-100), kind=NEW)
    assert runner.run_due(QUEUE) == [other]


def test_an_end_claims_no_job_of_an_unknown_kind(new: Job) -> None:
    jobs = [waiting(), waiting()]
    assert runner.run_due(QUEUE) == jobs
    assert statuses(new) == ["PENDING"]


def test_a_rescuer_that_does_not_know_the_kind_lets_the_attempt_wait_again() -> None:
    job = claimed(kind=NEW, lease_expires_at=LONG_AGO, checkpoint={"after": 7}, processed=7)
    assert rescuer.rescue_expired() == 1
    again = Job.objects.get()
    assert (again.status, again.checkpoint, again.processed, again.lease_token) == ("PENDING", {"after": 7}, 7, None)
    with next_release():
        assert claiming.claim(queue=QUEUE, worker="new") == job


def test_a_cancelled_job_of_an_unknown_kind_ends_when_its_worker_has_died() -> None:
    job = claimed(kind=NEW, lease_expires_at=LONG_AGO)
    job_operations.cancel(job_id=job.pk, by="olga")
    rescuer.rescue_expired()
    assert endings(job) == ["CANCELLED"]


def test_a_rescuer_leaves_the_end_of_an_unknown_kind_that_came_too_late_to_others(new: Job) -> None:
    changed(new, start_by=LONG_AGO)
    assert rescuer.expire_waiting() == 0
    with next_release():
        assert rescuer.expire_waiting() == 1


def test_people_cancel_what_no_release_knows_any_more(new: Job) -> None:
    job_operations.cancel(job_id=new.pk, by="olga")
    assert statuses(new) == ["CANCELLED"]


def test_doctor_and_the_first_page_name_kinds_that_no_worker_knows(new: Job) -> None:
    def found() -> list[tuple[str, str, int]]:
        return [(each.queue, each.kind, each.count) for each in worker_registry.kinds_nobody_knows()]

    assert found() == []  # the queue has no worker at all, which is a finding of its own
    old = worker_of([QUEUE], [KIND])
    worker_of(["report"], [KIND, NEW])
    waiting(run_at=LONG_AGO)
    assert found() == [(QUEUE, NEW, 1)]
    (result,) = [each for each in run("doctor", "--json").document["checks"] if each["name"] == "kinds"]
    assert (result["state"], NEW in result["finding"]) == ("problem", True)
    assert "no worker knows this kind" in shown(signed_in("viewer").get("/admin/"))
    assert "knows the kind" in (waiting_reason(new.pk) or "")
    Worker.objects.filter(pk=old.pk).update(kinds=None)  # a release that knows nothing of kinds claims any
    assert found() == []
    Worker.objects.filter(pk=old.pk).update(kinds=[KIND])
    worker_of([QUEUE], [KIND, NEW])
    assert found() == []
    assert waiting_reason(new.pk) is None


def test_a_kind_is_a_finding_only_after_a_minute_and_while_its_queue_is_open(new: Job) -> None:
    worker_of([QUEUE], [KIND])
    Queue.objects.filter(name=QUEUE).update(paused_at=LONG_AGO)
    assert worker_registry.kinds_nobody_knows() == []
    Queue.objects.filter(name=QUEUE).update(paused_at=None)
    Job.objects.update(run_at=lifecycle.Now())
    assert worker_registry.kinds_nobody_knows() == []


def test_without_workers_the_kinds_of_this_process_count(new: Job, settings: LazySettings) -> None:
    settings.JOBS_INLINE = True
    assert [each.kind for each in worker_registry.kinds_nobody_knows()] == [NEW]


def test_a_worker_tells_the_kinds_that_it_knows() -> None:
    worker_registry.beat(queues=[QUEUE], concurrency=1, pid=1)
    assert Worker.objects.get().kinds == kinds.known_kinds()


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_burst_does_not_wait_for_a_kind_that_it_does_not_know() -> None:
    jobs = [changed(waiting(), kind=NEW), waiting()]
    try:
        with warnings.catch_warnings():
            result = Burst(queues=[QUEUE], concurrency=1, name="burst", until_done=True).run()
    finally:
        wakeup.poll([])
    assert result == BurstResult(attempts=1, failed_chains=0, is_complete=True, unknown_kinds=(NEW,))
    assert [statuses(job) for job in jobs] == [["PENDING"], ["COMPLETED"]]
