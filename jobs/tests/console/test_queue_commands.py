"""The commands about queues, workers and clean-up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs.engine import claiming, lifecycle, worker_registry
from jobs.engine.models import Job, Queue
from jobs.engine.worker_model import Worker
from jobs.operations import cleanup
from jobs.operations.cleanup import OldRows
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, claimed, lease_of, waiting
from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db


def test_a_queue_is_paused_and_resumed_with_who_and_why() -> None:
    paused = run("pause_queue", QUEUE, "--reason", "deploy")
    assert paused.out.startswith(f"The queue {QUEUE} is paused since ")
    assert f" by {OLGA}: deploy." in paused.out
    document = run("pause_queue", QUEUE, "--reason", "again", "--json").document
    assert (document["paused"], document["pausedBy"], document["pauseReason"]) == (True, OLGA, "deploy")
    resumed = run("resume_queue", QUEUE, "--reason", "deployed")
    assert (resumed.out, resumed.status) == (f"The queue {QUEUE} is open.\n", 0)
    run("resume_queue", QUEUE)
    assert audit_entries() == [
        (OLGA, "queue.pause", f"queue:{QUEUE}", "deploy", "command"),
        (OLGA, "queue.resume", f"queue:{QUEUE}", "deployed", "command"),
    ]


ALL = "cleanup, default, maintenance, notification, propagation, report"


@pytest.mark.parametrize("command", ["pause_queue", "resume_queue"])
def test_a_queue_that_is_not_there_is_said_so(command: str) -> None:
    ran = run(command, "mist")
    assert (ran.error, ran.status) == (f"There is no queue 'mist'. The queues are: {ALL}.", 1)


def test_queues_tell_what_stands_in_them_and_who_serves_them() -> None:
    claimed(), waiting(), waiting(run_at=Now() + timedelta(hours=1))
    worker_registry.beat(queues=[QUEUE], concurrency=2, pid=1)
    Queue.objects.filter(name=QUEUE).update(concurrency=4)
    run("pause_queue", "propagation", "--reason", "deploy")
    results = {line["name"]: line for line in run("queues", "--json").document["results"]}
    default, propagation = results["default"], results["propagation"]
    assert [default[name] for name in ("name", "due", "later", "running", "concurrency", "workers")] == [
        QUEUE, 1, 1, 1, 4, 1,
    ]  # fmt: skip
    assert default["oldestDueAt"].endswith("Z")
    assert (propagation["paused"], propagation["workers"], propagation["oldestDueAt"]) == (True, 0, None)
    lines = run("queues").lines
    assert [QUEUE, "1", "1", "1", "of", "4"] in [line.split()[:6] for line in lines]
    assert any(f"by {OLGA}: deploy" in line for line in lines)


def test_workers_tell_what_they_do_and_the_exit_status_whether_any_is_alive() -> None:
    nobody = run("workers")
    assert (nobody.out, nobody.status) == ("No worker is alive; jobs wait until one starts.\n", 1)
    worker_registry.beat(queues=[QUEUE], concurrency=2, pid=1)
    job = waiting(arguments={"featureFlagName": "checkout", "enabled": True}, total=10)
    claiming.claim(queue=QUEUE, worker=worker_registry.process_name())
    Worker.objects.create(token="old", host="elsewhere", pid=7, seen_at=LONG_AGO)
    ran = run("workers", "--json")
    assert ran.status == 0
    mine, gone = ran.document["results"]
    assert (mine["state"], mine["busy"], mine["concurrency"], mine["jobIds"]) == ("alive", 1, 2, [job.pk])
    assert (gone["state"], gone["host"]) == ("gone", "elsewhere")
    assert f"{job.pk} checkout on, 0 of 10" in run("workers").lines[1]


def ended_long_ago() -> Job:
    job = claimed()
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    return changed(job, completed_at=LONG_AGO, created_at=LONG_AGO)


def test_a_dry_clean_up_counts_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "_other_rows", [OldRows("smallPebbles", lambda _: 3, lambda *_: (None, 3))])
    ended_long_ago(), waiting()
    assert run("cleanup_jobs", "--dry-run", "--json").document == {
        "dryRun": True, "completed": 1, "cancelled": 0, "failed": 0, "smallPebbles": 3,
    }  # fmt: skip
    words = " ".join(run("cleanup_jobs", "--dry-run").out.split())
    chains = "1 chain (1 completed, 0 cancelled, 0 failed; kept for 30 and 7 days)"
    assert words.startswith(f"{chains} and 3 small pebbles would be deleted")
    assert (Job.objects.count(), audit_entries()) == (2, [])


def test_a_clean_up_is_a_job_that_is_asked_for_once() -> None:
    ended_long_ago()
    first, second = (run("cleanup_jobs", "--json").document for _ in range(2))
    assert (first["completed"], first["job"]["kind"], first["job"]["requestedBy"]) == (1, cleanup.KIND, OLGA)
    assert first["job"]["correlationId"].startswith("command-")
    assert second["job"]["id"] == first["job"]["id"]
    assert first["waitsFor"] == "No worker is alive for the queue cleanup; the job waits until one starts."
    assert audit_entries() == [(OLGA, "job.enqueue", f"job:{first['job']['id']}", "", "command")]
