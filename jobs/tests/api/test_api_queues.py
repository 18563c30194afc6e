"""Queues and priorities over HTTP, and the commands that do the same."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from jobs.engine.models import Job, Queue
from jobs.tests.api.api_kinds import done, waiting
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import run


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def test_the_queues_are_read_with_their_counts(api: Api, cast: Cast) -> None:
    waiting(cast.acme)
    queues = {queue["name"]: queue for queue in api.get("/v1/queues").json()["results"]}
    assert (queues["default"]["due"], queues["propagation"]["due"]) == (1, 0)
    assert queues["default"]["oldestDueAt"] is not None
    assert queues["default"]["paused"] is False


def test_a_queue_is_paused_with_a_reason_and_resumed(api: Api) -> None:
    paused = api.post("/v1/queues/default/pause", {"reason": "deploy"}).json()
    assert (paused["paused"], paused["pauseReason"]) == (True, "deploy")
    assert AuditEntry.objects.latest("id").reason == "deploy"
    assert api.post("/v1/queues/default/resume").json()["paused"] is False
    assert Queue.objects.get(name="default").paused_at is None


def test_the_settings_of_a_queue_change(api: Api) -> None:
    changed = api.patch("/v1/queues/default", {"concurrency": 4, "maxRetries": 1}).json()
    assert (changed["concurrency"], changed["maxRetries"]) == (4, 1)
    assert api.patch("/v1/queues/default", {"concurrency": None}).json()["concurrency"] is None
    for body, field in (({"concurrency": 0}, "concurrency"), ({"maxRetries": -1}, "maxRetries"), ({}, ""),
                        ({"reason": "x"}, ""), ({"paused": True}, "paused")):  # fmt: skip
        assert wrong_fields(api.patch("/v1/queues/default", body)) == {field}


@pytest.mark.parametrize("call", [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume")])
def test_a_queue_that_does_not_exist_is_not_found(api: Api, call: tuple[str, str]) -> None:
    method, end = call
    body = {"concurrency": 1} if method == "PATCH" else None
    assert kind_of(api.send(method, f"/v1/queues/nowhere{end}", body)) == "queue-not-found"


def test_bound_keys_and_readers_leave_the_queues_alone(cast: Cast, acme_key: str, reader_key: str) -> None:
    assert kind_of(Api(acme_key).get("/v1/queues")) == "outside-of-your-subtree"
    assert kind_of(Api(acme_key).post("/v1/queues/default/pause")) == "outside-of-your-subtree"
    assert kind_of(Api(reader_key).post("/v1/queues/default/pause")) == "not-permitted"
    assert not Queue.objects.exclude(paused_at=None).exists()


def test_the_priority_of_an_open_job_changes(api: Api, cast: Cast) -> None:
    ended, job = done(cast.rome), waiting(cast.acme)
    assert api.post(f"/v1/jobs/{job.pk}/priority", {"priority": 50, "reason": "urgent"}).json() == {"priority": 50}
    assert Job.objects.get(pk=job.pk).priority == 50
    assert AuditEntry.objects.latest("id").reason == "urgent"
    assert wrong_fields(api.post(f"/v1/jobs/{job.pk}/priority", {"priority": 101})) == {"priority"}
    assert kind_of(api.post(f"/v1/jobs/{ended.pk}/priority", {"priority": 1})) == "job-ended"


def test_a_bound_operator_changes_the_priority_of_its_jobs_only(cast: Cast) -> None:
    bound = Api(access_keys.create(name="north", role=Role.OPERATOR, organization=cast.north)[1])
    own, foreign = waiting(cast.oslo), waiting(cast.rome)
    assert bound.post(f"/v1/jobs/{own.pk}/priority", {"priority": 1}).status_code == 200
    assert kind_of(bound.post(f"/v1/jobs/{foreign.pk}/priority", {"priority": 1})) == "job-not-found"
    assert kind_of(bound.post(f"/v1/jobs/{own.pk}/priority", {"priority": 11})) == "outside-of-your-subtree"
    assert Job.objects.get(pk=own.pk).priority == 1


@pytest.mark.parametrize(
    ("arguments", "concurrency"), [(["--concurrency", "7"], 7), (["--concurrency", "unlimited"], None)]
)
def test_a_command_changes_a_queue(cast: Cast, arguments: list[str], concurrency: Any) -> None:
    ran = run("change_queue", "default", *arguments, "--reason", "load", "--json")
    assert ran.document["concurrency"] == concurrency
    assert run("change_queue", "default").status == 2
    assert run("change_queue", "nowhere", "--max-retries", "1").status == 1


def test_a_command_changes_priorities(cast: Cast) -> None:
    ended, job = done(cast.rome), waiting(cast.acme)
    assert run("set_priority", 9, job.pk, "--reason", "urgent").status == 0
    assert Job.objects.get(pk=job.pk).priority == 9
    assert run("set_priority", 9, ended.pk).status == 1
