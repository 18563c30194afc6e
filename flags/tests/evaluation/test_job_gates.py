"""The gates of the job queue: flags that decide whether an enqueued job waits for a worker or runs at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from structlog.testing import capture_logs

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import FlagNotFound
from flags.evaluation import job_gates
from flags.states.set_flag import set_flag
from jobs.engine import at_once, claiming, lifecycle, runner
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.engine.runner import run_next
from jobs.operations import gates
from jobs.operations.enqueue import enqueue
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api
from orgs.tests.commands import OLGA
from orgs.tests.failing_queries import failing_queries
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
KIND = "gated-kind-of-a-test"
Enqueue = Callable[..., Job]
STEPS: list[int] = []


@job_kind(KIND, arguments={"type": "object"}, of_organization=True)
def work(run: Run) -> None:
    """Do as many steps as the arguments say, and go on after the last one that is done; fail first, if they say so."""
    if run.job.arguments.get("failsFirst") and run.job.parent_job_id is None:
        raise ValueError("not yet")
    done = (run.job.checkpoint or {}).get("done", 0)
    for step in range(done, run.job.arguments.get("steps", 1)):
        run.check()
        STEPS.append(step)
        run.record_progress(processed=1, checkpoint={"done": step + 1})
    run.set_result({"done": True})


@pytest.fixture(autouse=True)
def steps() -> list[int]:
    STEPS.clear()
    return STEPS


@pytest.fixture
def enqueued(django_capture_on_commit_callbacks: Any) -> Enqueue:
    """A function that enqueues a job, and commits."""

    def enqueue_it(trigger: str = "admin", **more: Any) -> Job:
        with django_capture_on_commit_callbacks(execute=True):
            job = enqueue(kind=KIND, trigger=Job.Trigger(trigger), **more).job
        job.refresh_from_db()
        return job

    return enqueue_it


def test_without_gates_a_job_waits_in_its_queue(wake_ups: list[str], enqueued: Enqueue) -> None:
    assert enqueued().status == "PENDING"
    assert wake_ups == ["default"]


@pytest.mark.parametrize("trigger", ["admin", "schedule", "event"])
def test_a_gate_that_is_off_lets_the_jobs_of_its_trigger_run_at_once(
    trigger: str, wake_ups: list[str], enqueued: Enqueue
) -> None:
    job_gates.switch(f"jobs-trigger-{trigger}", on=False, by=OLGA)
    job = enqueued(trigger, by=OLGA)
    assert (job.status, job.result, job.worker[:7], job.trigger) == ("COMPLETED", {"done": True}, "inline ", trigger)
    assert wake_ups == []
    assert AuditEntry.objects.get(action="job.enqueue").details["inline"] is True
    others = {"admin", "schedule", "event"} - {trigger}
    assert {enqueued(other).status for other in others} == {"PENDING"}


def test_the_master_stands_before_all_gates(enqueued: Enqueue) -> None:
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    assert {enqueued(trigger).status for trigger in ("admin", "schedule", "event")} == {"COMPLETED"}
    job_gates.switch("jobs-queue", on=True, by=OLGA)
    job_gates.switch("jobs-trigger-event", on=False, by=OLGA)
    assert [enqueued(trigger).status for trigger in ("admin", "event")] == ["PENDING", "COMPLETED"]


def test_a_gate_that_cannot_be_read_counts_as_on(monkeypatch: pytest.MonkeyPatch, enqueued: Enqueue) -> None:
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    with failing_queries(OperationalError("no"), times=1), capture_logs() as entries:
        job = enqueued()
    assert job.status == "PENDING"
    assert [entry["event"] for entry in entries if entry["event"] == "gate_not_read"] == ["gate_not_read"]

    def broken(*_: Any) -> bool:
        raise RuntimeError("no idea")

    monkeypatch.setattr(gates, "checks", [broken])
    assert enqueued().status == "PENDING"


def test_an_archived_gate_counts_as_on(enqueued: Enqueue) -> None:
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    service.archive(key="jobs-queue", by=OLGA)
    assert enqueued().status == "PENDING"


def test_a_gate_rolls_out_to_a_share_of_the_jobs(enqueued: Enqueue) -> None:
    service.create(key="jobs-queue", values={"enabled": True, "rollout_percentage": 50}, by=OLGA)
    jobs = [enqueued(correlation_id=f"request-{number}") for number in range(60)]
    through_the_queue = sum(job.status == "PENDING" for job in jobs)
    assert 12 < through_the_queue < 48
    again = [enqueued(correlation_id=f"request-{number}") for number in range(60)]
    assert [job.status for job in again] == [job.status for job in jobs]


def test_a_gate_is_off_for_one_organization_and_what_is_below_it(cast: Cast, enqueued: Enqueue) -> None:
    service.create(key="jobs-queue", values={"enabled": True}, by=OLGA)
    set_flag(organization_id=cast.oslo.pk, flag_key="jobs-queue", enabled=False)
    assert enqueued(organization_id=cast.oslo.pk).status == "COMPLETED"
    assert enqueued(organization_id=cast.rome.pk).status == "PENDING"
    assert enqueued().status == "PENDING"


def test_only_the_job_itself_runs_and_not_one_that_waits_before_it(enqueued: Enqueue) -> None:
    first = enqueued(priority=90)
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    assert enqueued().status == "COMPLETED"
    first.refresh_from_db()
    assert first.status == "PENDING"


def test_a_job_for_later_and_one_of_a_paused_queue_wait_nevertheless(wake_ups: list[str], enqueued: Enqueue) -> None:
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    assert enqueued(run_at=timezone.now() + timedelta(hours=1)).status == "PENDING"
    Queue.objects.filter(name="default").update(paused_at=timezone.now())
    assert enqueued().status == "PENDING"
    assert wake_ups == ["default"]


def test_what_is_left_after_the_longest_time_goes_on_in_a_worker(
    monkeypatch: pytest.MonkeyPatch, wake_ups: list[str], steps: list[int], enqueued: Enqueue
) -> None:
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    monkeypatch.setattr(at_once, "LONGEST_SECONDS", 0.0)
    assert enqueued(arguments={"steps": 2}).status == "PENDING"
    assert steps == []
    assert wake_ups == ["default"]


def test_work_that_is_under_way_after_the_longest_time_returns_to_its_queue(wake_ups: list[str]) -> None:
    job = lifecycle.create(kind=KIND, arguments={"steps": 2})
    claimed = claiming.claim(queue="default", worker="inline w", job_id=job.pk)
    assert claimed is not None
    runner.run_claimed(claimed, end_at=time.monotonic() - 1)
    job.refresh_from_db()
    assert (job.status, job.claims, job.processed) == ("PENDING", 1, 0)
    assert wake_ups == ["default", "default"]
    assert run_next("default") == job
    job.refresh_from_db()
    assert (job.status, job.processed) == ("COMPLETED", 2)


def test_a_retry_that_is_due_soon_runs_at_once_too(enqueued: Enqueue) -> None:
    Queue.objects.filter(name="default").update(backoff_type="fixed", backoff_delay=0.0)
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    job = enqueued(arguments={"failsFirst": True})
    assert list(Job.objects.of_chain(job.pk).values_list("status", flat=True)) == ["COMPLETED", "COMPLETED"]


@pytest.mark.django_db(transaction=True)
def test_the_answer_over_http_says_that_the_job_has_run(admin_key: str) -> None:
    api = Api(admin_key)
    assert api.post("/v1/queue/jobs", {"kind": KIND}).json()["inline"] is False
    job_gates.switch("jobs-trigger-admin", on=False, by=OLGA)
    answer = api.post("/v1/queue/jobs", {"kind": KIND}).json()
    assert (answer["inline"], answer["status"]) == (True, "COMPLETED")


def test_switching_keeps_the_rollout_and_knows_the_gates_only() -> None:
    assert job_gates.switch("jobs-queue", on=True, by=OLGA) is None
    service.create(key="jobs-queue", values={"enabled": True, "rollout_percentage": 25}, by=OLGA)
    job_gates.switch("jobs-queue", on=False, by=OLGA)
    assert not job_gates.all_gates()[0].is_on
    job_gates.switch("jobs-queue", on=True, by=OLGA)
    assert (job_gates.all_gates()[0].is_on, job_gates.all_gates()[0].rollout) == (True, Decimal(25))
    with pytest.raises(FlagNotFound, match="no gate"):
        job_gates.switch("new-checkout", on=False, by=OLGA)


def test_the_front_page_shows_and_switches_the_gates(cast: Cast) -> None:
    admin = signed_in("admin")
    page = shown(admin.get("/admin/"))
    assert page.count('id="gate-jobs-') == 4
    assert "/admin/gates/jobs-queue/off/" in page
    admin.post("/admin/gates/jobs-queue/off/", {"confirmed": "1", "reason": "a storm"})
    assert Flag.objects.get(key="jobs-queue").killed
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.reason, entry.via) == ("flag.create", "user:pat", "a storm", "admin")
    assert "/admin/gates/jobs-queue/on/" in shown(admin.get("/admin/overview/"))
    assert "Switch the gate" in shown(admin.get("/admin/gates/jobs-queue/on/"))
    admin.post("/admin/gates/jobs-queue/on/", {})
    assert not Flag.objects.get(key="jobs-queue").killed
    for address in ("/admin/gates/new-checkout/off/", "/admin/gates/jobs-queue/half/"):
        assert admin.post(address, {}).status_code == 404
    for who, bound_to in (("viewer", None), ("admin", cast.north)):
        client = signed_in(who, name=f"{who}2", bound_to=bound_to)
        assert client.post("/admin/gates/jobs-queue/off/", {}).status_code == 403
        assert "/admin/gates/" not in shown(client.get("/admin/"))


def test_each_gate_says_on_its_own_what_happens_when_it_is_off() -> None:
    client = signed_in("admin")
    for gate in job_gates.DESCRIPTIONS:
        page = shown(client.get(f"/admin/gates/{gate}/off/"))
        assert "Off: they run at once" in page, gate
