"""The addresses under /v1/queue: figures of the queues, and what has an address of its own too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from jobs.engine import worker_registry
from jobs.engine.models import Job, Queue
from jobs.operations import enqueue as enqueueing
from jobs.operations.enqueue import enqueue
from jobs.tests.api.api_kinds import done, running, waiting
from jobs.tests.operations.test_enqueueing import KIND
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def figures_of(answer: Any, name: str) -> dict[str, Any]:
    (figures,) = (queue for queue in answer.json()["results"] if queue["name"] == name)
    return dict(figures)


def test_the_figures_of_a_queue_count_what_waits_runs_and_has_ended(api: Api, cast: Cast) -> None:
    done(cast.acme), done(cast.acme), done(cast.acme, broken=True)
    running(cast.acme)
    Job.objects.filter(pk=waiting(cast.acme).pk).update(run_at=timezone.now() - timedelta(seconds=90))
    enqueue(kind=KIND, arguments={"upTo": 1}, run_at=timezone.now() + timedelta(hours=1))
    worker_registry.beat(queues=["default", "default"], concurrency=2, pid=1)
    Queue.objects.filter(name="default").update(paused_at=timezone.now())
    answer = api.get("/v1/queue/stats")
    figures = figures_of(answer, "default")
    waited = figures.pop("oldestWaitSeconds")
    assert figures == {
        "name": "default", "waiting": 1, "delayed": 1, "active": 1, "completed": 2, "failed": 1, "paused": True,
        "wanted": 2, "workers": 1,
    }  # fmt: skip
    assert 90 <= waited < 150
    assert answer.json()["hours"] == 24
    assert figures_of(answer, "cleanup")["oldestWaitSeconds"] is None


def test_the_window_of_the_figures_is_asked_for_in_hours(api: Api, cast: Cast) -> None:
    done(cast.acme)
    answer = api.get("/v1/queue/stats?hours=1").json()
    assert answer["hours"] == 1
    assert datetime.fromisoformat(answer["since"]).minute == 0
    for hours in ("0", "49", "x"):
        assert wrong_fields(api.get(f"/v1/queue/stats?hours={hours}")) == {"hours"}


def test_a_job_that_a_person_has_retried_does_not_count_as_failed(api: Api, cast: Cast) -> None:
    failed = done(cast.acme, broken=True)
    assert figures_of(api.get("/v1/queue/stats"), "default")["failed"] == 1
    api.post(f"/retry-job/{failed.pk}")
    assert figures_of(api.get("/v1/queue/stats"), "default")["failed"] == 0


def test_a_kind_in_the_address_enqueues_the_same_job_as_one_in_the_body(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"arguments": {"upTo": 3}, "uniqueKey": "k", "reason": "why"}
    first = api.post(f"/v1/queue/jobs/{KIND}", body)
    assert (first.status_code, first.json()["kind"]) == (202, KIND)
    again = api.post("/v1/queue/jobs", body | {"kind": KIND})
    assert (again.status_code, again.json()["jobId"]) == (200, first.json()["jobId"])
    monkeypatch.setitem(enqueueing.OTHER_NAMES, "etl", KIND)
    assert api.post("/v1/queue/jobs/etl", {"arguments": {"upTo": 3}}).json()["kind"] == KIND
    assert kind_of(api.post("/v1/queue/jobs/propagation", {})) == "unknown-kind"
    assert wrong_fields(api.post(f"/v1/queue/jobs/{KIND}", {"kind": KIND})) == {"kind"}


def test_a_job_is_followed_and_cancelled_under_its_id(api: Api, cast: Cast) -> None:
    ended, waits = done(cast.rome), waiting(cast.acme)
    address = f"/v1/queue/jobs/{waits.pk}"
    assert api.get(address).json() == api.get(f"/job-status/{waits.pk}").json()
    cancelled = api.send("DELETE", address, {"reason": "wrong"})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    assert AuditEntry.objects.latest("id").reason == "wrong"
    busy = running(cast.oslo)
    assert api.send("DELETE", f"/v1/queue/jobs/{busy.pk}").status_code == 202
    for job in (waits, ended):
        assert kind_of(api.send("DELETE", f"/v1/queue/jobs/{job.pk}")) == "job-not-cancellable"
    for name in ("999999", "0", "x"):
        assert kind_of(api.get(f"/v1/queue/jobs/{name}")) == "job-not-found"


def test_workers_and_pauses_answer_as_at_their_own_addresses(api: Api) -> None:
    worker_registry.beat(queues=["default"], concurrency=2, pid=1)
    assert api.get("/v1/queue/workers").json() == api.get("/v1/workers").json()
    paused = api.post("/v1/queue/queues/default/pause", {"reason": "deploy"}).json()
    assert (paused["paused"], paused["pauseReason"]) == (True, "deploy")
    assert api.post("/v1/queue/queues/default/resume").json()["paused"] is False
    assert kind_of(api.post("/v1/queue/queues/mist/pause")) == "queue-not-found"


def test_a_bound_key_reaches_the_jobs_of_its_subtree_and_nothing_shared(cast: Cast) -> None:
    api = Api(_key("bound", Role.OPERATOR, cast.north))
    for path in ("/v1/queue/stats", "/v1/queue/workers"):
        assert kind_of(api.get(path)) == "outside-of-your-subtree", path
    assert kind_of(api.post("/v1/queue/queues/default/pause")) == "outside-of-your-subtree"
    inside, outside = waiting(cast.oslo), waiting(cast.rome)
    assert api.get(f"/v1/queue/jobs/{inside.pk}").status_code == 200
    assert kind_of(api.get(f"/v1/queue/jobs/{outside.pk}")) == "job-not-found"
    assert kind_of(api.send("DELETE", f"/v1/queue/jobs/{outside.pk}")) == "job-not-found"
    enqueued = api.post(f"/v1/queue/jobs/{KIND}", {"arguments": {"upTo": 1}})
    assert Job.objects.get(pk=enqueued.json()["jobId"]).organization_id == cast.north.pk
    assert kind_of(api.post("/v1/queue/jobs/cleanup", {})) == "outside-of-your-subtree"
    shared = api.post(f"/v1/queue/jobs/{KIND}", {"arguments": {"upTo": 1}, "queue": "cleanup"})
    assert kind_of(shared) == "outside-of-your-subtree"


def test_all_jobs_are_listed_also_those_of_no_organization(api: Api, cast: Cast) -> None:
    failed, theirs = done(cast.oslo, broken=True), waiting(cast.rome)
    tidy = enqueue(kind="cleanup", correlation_id="c-7").job

    def listed(client: Api, **query: Any) -> list[int]:
        return [job["id"] for job in client.get("/v1/queue/jobs", **query).json()["results"]]

    assert listed(api) == [tidy.pk, theirs.pk, failed.pk]
    assert listed(api, status="FAILED") == [failed.pk]
    assert listed(api, queue="cleanup") == listed(api, correlationId="c-7") == [tidy.pk]
    assert api.get("/v1/queue/jobs").json()["results"][2] == api.get(f"/job-status/{failed.pk}").json()
    assert listed(Api(_key("bound", Role.READER, cast.north))) == [failed.pk]
    for query in ("status=failed", "kind=cleanup", "queue=", "correlationId="):
        assert wrong_fields(api.get(f"/v1/queue/jobs?{query}")) == {query.partition("=")[0]}
    page = api.get("/v1/queue/jobs?pageSize=2").json()
    assert len(page["results"]) == 2
    assert page["next"] is not None


def test_more_jobs_in_the_list_take_no_more_queries(api: Api, cast: Cast, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        waiting(cast.acme), done(cast.oslo)
    with django_assert_max_num_queries(12):
        assert len(api.get("/v1/queue/jobs?pageSize=50").json()["results"]) == 50
