"""Jobs that people and programs enqueue: checked arguments, priorities by trigger, and unique keys."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from conftest import Cast
from jobs.engine import claiming, kinds, lifecycle
from jobs.engine.kinds import job_kind, kind_named
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.run import MAX_RESULT_BYTES, Run
from jobs.engine.runner import run_next
from jobs.errors import InvalidJobArguments, ResultTooLarge, UnknownKind
from jobs.operations import job_operations
from jobs.operations.argument_words import LONGEST_ERROR, MOST_ERRORS
from jobs.operations.enqueue import argument_errors, enqueue
from jobs.tests.engine_steps import lease_of
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
KIND = "counting-of-a-test"
SCHEMA = {
    "type": "object",
    "properties": {"upTo": {"type": "integer", "minimum": 1}, "step": {"type": "integer", "default": 1}},
    "required": ["upTo"],
    "additionalProperties": False,
}

LIST_OF_TEXTS = {"type": "array", "uniqueItems": True, "items": {"type": "string"}}


@job_kind(KIND, arguments=SCHEMA, of_organization=True)
def count(run: Run) -> None:
    run.set_result({"counted": list(range(0, run.job.arguments["upTo"], run.job.arguments["step"]))})


def enqueued(**more: Any) -> Job:
    return enqueue(kind=KIND, arguments={"upTo": 3}, by="user:olga", **more).job


def test_a_job_gets_the_defaults_of_its_kind_and_returns_a_result(reader_key: str) -> None:
    job = enqueued(reason="to see")
    assert (job.arguments, job.queue, job.trigger, job.priority) == ({"upTo": 3, "step": 1}, "default", "admin", 5)
    run_next("default")
    status = Api(reader_key).get(f"/job-status/{job.pk}").json()
    assert (status["status"], status["result"]) == ("COMPLETED", {"counted": [0, 1, 2]})
    entry = AuditEntry.objects.get(action="job.enqueue")
    assert (entry.actor, entry.reason, entry.details["kind"]) == ("user:olga", "to see", KIND)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "arguments.upTo: This argument is required."),
        ({"upTo": 0}, "arguments.upTo: Write at least 1."),
        ({"upTo": 1, "x": 1}, "arguments.x: This argument does not exist here. The arguments are: upTo, step."),
    ],
)
def test_arguments_that_do_not_fit_the_schema_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidJobArguments, match=words):
        enqueue(kind=KIND, arguments=arguments)


@pytest.mark.parametrize("kind", ["propagation", "mist"])
def test_a_kind_that_nobody_may_enqueue_is_refused_with_the_names_of_the_others(kind: str) -> None:
    with pytest.raises(UnknownKind, match=f"{kind}.*cleanup, {KIND}"):
        enqueue(kind=kind)


@pytest.mark.parametrize(("trigger", "priority"), [("admin", 5), ("schedule", 0), ("event", 10)])
def test_the_trigger_decides_the_priority(trigger: str, priority: int) -> None:
    assert enqueued(trigger=Job.Trigger(trigger)).priority == priority
    assert enqueued(trigger=Job.Trigger(trigger), priority=-7).priority == -7


def test_a_job_for_later_waits_for_its_time() -> None:
    job = enqueued(run_at=timezone.now() + timedelta(hours=1))
    assert run_next("default") is None
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now())
    assert run_next("default") == job


def test_a_unique_key_holds_until_the_work_has_ended_with_all_its_retries() -> None:
    first = enqueue(kind=KIND, arguments={"upTo": 3}, unique=Uniqueness("the-count"))
    assert not first.is_deduplicated
    same = enqueue(kind=KIND, arguments={"upTo": 9}, unique=Uniqueness("the-count"))
    assert (same.job, same.is_deduplicated) == (first.job, True)
    claimed = claiming.claim(queue="default", worker="w")
    assert claimed is not None
    retry = lifecycle.fail(job_id=claimed.pk, lease=lease_of(claimed), error="no")
    assert enqueue(kind=KIND, arguments={"upTo": 3}, unique=Uniqueness("the-count")).job == retry
    job_operations.cancel(job_id=first.job.pk, by="user:olga")
    assert not enqueue(kind=KIND, arguments={"upTo": 3}, unique=Uniqueness("the-count")).is_deduplicated


def test_a_clean_up_for_later_keeps_no_other_clean_up_from_running() -> None:
    later = enqueue(kind="cleanup", run_at=timezone.now() + timedelta(days=30))
    now = enqueue(kind="cleanup")
    assert not now.is_deduplicated
    same = enqueue(kind="cleanup", run_at=timezone.now() - timedelta(hours=1))
    assert (same.job, same.is_deduplicated) == (now.job, True)
    another = enqueue(kind="cleanup", run_at=timezone.now() + timedelta(days=31))
    assert (another.is_deduplicated, another.job != later.job) == (False, True)
    assert run_next("cleanup") == now.job


@pytest.mark.parametrize("kind", ["cleanup", "maintenance", "notification", "statistics", "cache-invalidation"])
def test_an_organization_is_refused_where_a_job_works_for_all(admin_key: str, cast: Cast, kind: str) -> None:
    recipients = [{"channel": "email", "to": "ann@example.com"}]
    arguments = {"subject": "s", "text": "t", "recipients": recipients} if kind == "notification" else {}
    api, body = Api(admin_key), {"kind": kind, "arguments": arguments, "organizationId": "north"}
    member = {"name": "b", "members": [body]}
    for address, given, field in (
        ("/v1/queue/jobs", body, "organizationId"),
        ("/v1/queue/batches", member, "members.0.organizationId"),
    ):
        answer = api.post(address, given)
        assert (answer.status_code, kind_of(answer)) == (400, "invalid-job-arguments")
        message = f"Jobs of the kind {kind} work for all organizations. Leave this out."
        assert answer.json()["errors"] == [{"field": field, "message": message}]
    assert not Job.objects.exists()


def test_a_request_names_no_other_key_where_the_kind_has_a_key_of_its_own(admin_key: str) -> None:
    named = {"kind": "cleanup", "uniqueKey": "nightly"}
    refused = Api(admin_key).post("/v1/queue/jobs", named)
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-job-arguments")
    assert [error["field"] for error in refused.json()["errors"]] == ["uniqueKey"]
    later = (timezone.now() + timedelta(days=1)).isoformat()
    answers = [Api(admin_key).post("/v1/queue/jobs", named | {"runAt": later}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200], "a job for later has no key of its kind"
    assert Api(admin_key).post("/v1/queue/jobs", {"kind": "cleanup"}).status_code == 202


def test_a_bound_caller_does_not_put_its_jobs_before_those_of_all_others(cast: Cast, admin_key: str) -> None:
    bound = Api(access_keys.create(name="bound", role=Role.OPERATOR, organization=cast.acme)[1])
    job = {"kind": KIND, "arguments": {"upTo": 3}}
    batch = {"name": "counts", "members": [job]}
    for address, body in (("/v1/queue/jobs", job), ("/v1/queue/batches", batch)):
        refused = bound.post(address, {**body, "priority": 11})
        assert (refused.status_code, kind_of(refused)) == (403, "outside-of-your-subtree")
        assert "highest priority that you may give is 10" in refused.json()["detail"]
        assert not Job.objects.exists()
    for address, body in (("/v1/queue/jobs", job), ("/v1/queue/batches", batch)):
        assert bound.post(address, {**body, "priority": 10}).status_code in {201, 202}
        assert Api(admin_key).post(address, {**body, "priority": 100}).status_code in {201, 202}


def test_a_unique_key_of_waiting_jobs_is_free_once_the_job_runs() -> None:
    waiting = Uniqueness("the-count", Job.Uniqueness.WAITING)
    first = enqueued(unique=waiting)
    assert enqueued(unique=waiting) == first
    claiming.claim(queue="default", worker="w")
    second = enqueued(unique=waiting)
    assert second != first
    assert enqueued(unique=waiting) == second


def test_a_large_result_is_refused_and_the_largest_one_fits() -> None:
    job = enqueued()
    claimed = claiming.claim(queue="default", worker="w")
    assert claimed is not None
    run = Run(claimed)
    with pytest.raises(ResultTooLarge):
        run.set_result("x" * MAX_RESULT_BYTES)
    run.set_result([0] * (MAX_RESULT_BYTES // 3))
    lifecycle.complete(job_id=job.pk, lease=run.lease, result=run.result)
    with connection.cursor() as cursor:
        cursor.execute("SELECT octet_length(result::text) FROM jobs_job WHERE id = %s", [job.pk])
        assert cursor.fetchone()[0] <= 65_536


def test_an_operator_enqueues_by_http_and_a_second_time_gets_the_same_job(admin_key: str, reader_key: str) -> None:
    body = {"kind": KIND, "arguments": {"upTo": 3}, "uniqueKey": "k", "correlationId": "c-1", "reason": "why"}
    first = Api(admin_key).post("/v1/queue/jobs", body)
    assert (first.status_code, first.json()["deduplicated"]) == (202, False)
    again = Api(admin_key).post("/v1/queue/jobs", body)
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    assert first.json()["jobId"] == again.json()["jobId"]
    job = Job.objects.get(pk=first.json()["jobId"])
    assert (job.correlation_id, job.reason, job.requested_by.startswith("key:")) == ("c-1", "why", True)
    assert Api(reader_key).post("/v1/queue/jobs", body).status_code == 403
    kinds = {kind["name"]: kind for kind in Api(reader_key).get("/v1/queue/kinds").json()["results"]}
    assert kinds[KIND]["arguments"] == SCHEMA


def test_a_whole_number_is_the_same_however_it_is_written() -> None:
    job = enqueue(kind=KIND, arguments={"upTo": 3.0, "step": 1e0}, by="user:olga").job
    assert json.dumps(job.arguments, sort_keys=True) == '{"step": 1, "upTo": 3}'


def test_a_long_list_that_has_to_differ_is_checked_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    job_kind("differing", arguments={"properties": {"a": LIST_OF_TEXTS}})(count)
    kind = kind_named("differing")
    many = [{"a": number} for number in range(20_000)]  # comparing each with each other takes a quarter of an hour
    errors = argument_errors(kind, {"a": [*many, many[0]]})
    assert len(errors) == MOST_ERRORS
    assert max(len(message) for _, message in errors) <= LONGEST_ERROR
    assert argument_errors(kind, {"a": ["x", "y"]}) == []
    assert argument_errors(kind, {"a": ["x", "y", "x"]}) == [(("a",), "Two items are the same.")]
