"""Queues of one's own: created, used and deleted by every door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.engine import claiming, lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job, Queue
from jobs.engine.run import Run
from jobs.engine.runner import run_next
from jobs.errors import InvalidJobArguments, InvalidQueueSettings, QueueExists, QueueInUse, UnknownQueue
from jobs.operations import bulk, job_operations, queue_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import lease_of
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import OLGA, audit_entries, run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
KIND, KEYED = "movable-kind-of-a-test", "keyed-kind-of-a-test"
NAME = "exports"


@job_kind(KIND, arguments={"type": "object"}, attempt_seconds=77)
@job_kind(KEYED, arguments={"type": "object"}, concurrency_key=lambda organization_id, arguments: "one")
def work(run: Run) -> None:
    """Do nothing."""


def created(**settings: Any) -> Queue:
    return queue_operations.create(NAME, by=OLGA, reason="for exports", **settings)


def test_a_new_queue_has_defaults_for_what_is_not_given_and_an_entry_of_the_audit_log() -> None:
    queue = created(concurrency=2)
    assert (queue.concurrency, queue.max_retries, queue.backoff_type, queue.is_fair) == (2, 3, "exponential", False)
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.reason) == ("queue.create", "queue:exports", "for exports")
    with pytest.raises(QueueExists):
        created()


@pytest.mark.parametrize("name", ["", "Exports", "a b", "a/b", "a,b", "-a", "ü", "x" * 65, "a\n"])
def test_a_name_that_no_worker_could_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidQueueSettings, match="name"):
        queue_operations.create(name, by=OLGA)


def test_a_job_waits_in_the_queue_that_its_request_names_and_keeps_the_limits_of_its_kind() -> None:
    created(max_retries=7)
    job = enqueue(kind=KIND, queue=NAME).job
    assert (job.queue, job.max_retries) == (NAME, 7)
    assert run_next("default") is None
    claimed = claiming.claim(queue=NAME, worker="w")
    assert claimed is not None
    assert claimed.deadline_at is not None
    assert claimed.started_at is not None
    assert claimed.deadline_at - claimed.started_at == timedelta(seconds=77)


def test_a_job_cannot_wait_in_a_queue_that_does_not_exist_or_does_not_keep_its_limits() -> None:
    created()
    with pytest.raises(UnknownQueue):
        enqueue(kind=KIND, queue="mist")
    with pytest.raises(InvalidJobArguments, match="keeps their limits"):
        enqueue(kind=KEYED, queue=NAME)
    assert enqueue(kind=KEYED, queue="default").job.queue == "default"


def test_a_queue_with_open_jobs_or_of_a_kind_stays() -> None:
    created()
    job = enqueue(kind=KIND, queue=NAME).job
    with pytest.raises(QueueInUse, match="has 1 open job"):
        queue_operations.delete(NAME, by=OLGA)
    claimed = claiming.claim(queue=NAME, worker="w")
    assert claimed is not None
    with pytest.raises(QueueInUse):
        queue_operations.delete(NAME, by=OLGA)
    lifecycle.complete(job_id=job.pk, lease=lease_of(claimed))
    queue_operations.delete(NAME, by=OLGA, reason="unused")
    assert not Queue.objects.filter(name=NAME).exists()
    assert Job.objects.get(pk=job.pk).queue == NAME
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.reason, entry.details["before"]["max_retries"]) == ("queue.delete", "unused", 3)
    with pytest.raises(QueueInUse, match="cleanup"):
        queue_operations.delete("cleanup", by=OLGA)
    with pytest.raises(UnknownQueue):
        queue_operations.delete(NAME, by=OLGA)


def test_a_job_whose_queue_is_deleted_can_be_retried_once_the_queue_is_back() -> None:
    created()
    job = enqueue(kind=KIND, queue=NAME).job
    claimed = claiming.claim(queue=NAME, worker="w")
    assert claimed is not None
    lifecycle.fail(job_id=job.pk, lease=lease_of(claimed), error="no", permanent=True)
    queue_operations.delete(NAME, by=OLGA)
    with pytest.raises(UnknownQueue, match="no queue 'exports'"):
        job_operations.retry(job_id=job.pk, by=OLGA)
    done = bulk.do_on_each([job.pk], bulk.OPERATIONS["retry"], by=OLGA)  # which does not keep it from the others
    assert (done.count, list(done.skipped)) == (0, ["were of queues that no longer exist"])
    created()
    assert job_operations.retry(job_id=job.pk, by=OLGA).queue == NAME


def test_due_jobs_without_a_worker_are_seen(settings: Any) -> None:
    created()
    assert not queue_operations.queue_status(NAME).is_unserved
    enqueue(kind=KIND, queue=NAME)
    assert queue_operations.queue_status(NAME).is_unserved
    front = shown(signed_in("operator").get("/admin/"))
    assert "1 due job waits in the queue" in " ".join(front.split())
    assert "no worker serves it" in run("queues").out
    settings.JOBS_INLINE = True
    assert not queue_operations.queue_status(NAME).is_unserved


def test_queues_are_created_read_and_deleted_by_http(admin_key: str, reader_key: str, acme_key: str) -> None:
    api = Api(admin_key)
    answer = api.post("/v1/queues", {"name": NAME, "concurrency": 2, "backoffType": "fixed", "reason": "why"})
    assert (answer.status_code, answer.headers["Location"]) == (201, "/v1/queues/exports")
    assert (answer.json()["concurrency"], answer.json()["maxRetries"], answer.json()["workers"]) == (2, 3, 0)
    assert api.get("/v1/queues/exports").json() == answer.json()
    assert AuditEntry.objects.latest("id").reason == "why"
    assert kind_of(api.post("/v1/queues", {"name": NAME})) == "queue-exists"
    assert wrong_fields(api.post("/v1/queues", {"name": "A b"})) == {"name"}
    assert api.post("/v1/queue/jobs", {"kind": KIND, "queue": NAME}).json()["queue"] == NAME
    assert kind_of(api.send("DELETE", "/v1/queues/exports")) == "queue-in-use"
    assert kind_of(api.post("/v1/queue/jobs", {"kind": KIND, "queue": "mist"})) == "queue-not-found"
    Job.objects.all().delete()
    assert api.send("DELETE", "/v1/queues/exports").status_code == 204
    assert api.get("/v1/queues/exports").status_code == 404
    for key, kind in ((reader_key, "not-permitted"), (acme_key, "outside-of-your-subtree")):
        assert kind_of(Api(key).post("/v1/queues", {"name": NAME})) == kind
        assert kind_of(Api(key).send("DELETE", "/v1/queues/cleanup")) == kind


def test_queues_are_created_and_deleted_by_command() -> None:
    made = run("create_queue", NAME, "--concurrency", "2", "--rate-allowed", "unlimited", "--reason", "why")
    assert made.out.startswith("The queue exports is created.")
    assert Queue.objects.get(name=NAME).concurrency == 2
    assert run("enqueue_job", KIND, "--queue", NAME, "--json").document["queue"] == NAME
    assert "has 1 open job" in run("delete_queue", NAME).error
    Job.objects.all().delete()
    assert run("delete_queue", NAME, "--reason", "unused").out == "The queue exports is deleted.\n"
    made_and_gone = [entry for entry in audit_entries() if entry[1].startswith("queue.")]
    assert made_and_gone == [
        (OLGA, "queue.create", "queue:exports", "why", "command"),
        (OLGA, "queue.delete", "queue:exports", "unused", "command"),
    ]


def test_queues_are_created_and_deleted_on_pages() -> None:
    client = signed_in("operator")
    values = {
        "name": NAME, "concurrency": "2", "max_retries": "3", "backoff_type": "fixed", "backoff_base": "2.0",
        "backoff_jitter": "0.0", "rate_seconds": "60", "reason": "why",
    }  # fmt: skip
    client.post("/admin/jobs/queue/add/", values)
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.reason, entry.via) == ("queue.create", "user:pat", "why", "admin")
    assert "already exists" in shown(client.post("/admin/jobs/queue/add/", values))
    page = shown(client.get("/admin/jobs/queue/"))
    assert 'id="delete-exports"' in page
    assert 'id="delete-cleanup"' not in page
    enqueue(kind=KIND, queue=NAME)
    assert "has 1 open job" in shown(client.post("/admin/jobs/queue/exports/delete/", {}, follow=True))
    Job.objects.all().delete()
    assert "It has to be empty" in shown(client.get("/admin/jobs/queue/exports/delete/"))
    client.post("/admin/jobs/queue/exports/delete/", {"reason": "unused"})
    assert not Queue.objects.filter(name=NAME).exists()
    viewer = signed_in("viewer", name="vic")
    assert viewer.get("/admin/jobs/queue/add/").status_code == 403
    assert viewer.post("/admin/jobs/queue/cleanup/delete/", {}).status_code == 403
