"""A request with `replace` changes what the waiting job with its unique key will do, and never one that has begun."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from conftest import Cast, _key
from jobs.engine import claiming, lifecycle
from jobs.engine.lifecycle import Uniqueness
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.errors import InvalidJobArguments
from jobs.operations.enqueue import Enqueued, enqueue
from jobs.tests.engine_steps import lease_of
from jobs.tests.operations.test_enqueueing import KIND
from jobs.tests.races.threads import Background
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
JOBS = "/v1/queue/jobs"


def wish(up_to: int, *, lasts: Job.Uniqueness = Job.Uniqueness.OPEN, **more: Any) -> Enqueued:
    return enqueue(kind=KIND, arguments={"upTo": up_to}, unique=Uniqueness("the-count", lasts), replace=True, **more)


def claim() -> Job:
    job = claiming.claim(queue="default", worker="w")
    assert job is not None
    return job


def test_a_waiting_job_does_what_the_last_request_asks_for(cast: Cast) -> None:
    first = wish(1, by="user:ann", run_at=timezone.now() + timedelta(days=1))
    assert (first.is_deduplicated, first.is_replaced) == (False, False)
    second = wish(2, by="user:bob", priority=7, reason="more", organization_id=cast.oslo.pk, trigger=Job.Trigger.EVENT)
    assert (second.job.pk, second.is_deduplicated, second.is_replaced) == (first.job.pk, True, True)
    job = Job.objects.get()
    assert (job.arguments, job.priority, job.reason) == ({"upTo": 2, "step": 1}, 7, "more")
    assert (job.requested_by, job.organization_id, job.trigger) == ("user:bob", cast.oslo.pk, "event")
    assert run_next("default") == job
    job.refresh_from_db()
    assert job.result == {"counted": [0, 1]}
    entry = AuditEntry.objects.get(action="job.replace")
    assert (entry.actor, entry.reason, entry.organization_id) == ("user:bob", "more", cast.oslo.pk)
    assert (entry.details["before"]["arguments"]["upTo"], entry.details["after"]["arguments"]["upTo"]) == (1, 2)


def test_the_last_request_decides_the_time_and_until_when_the_job_may_start() -> None:
    wish(1)
    later = timezone.now() + timedelta(hours=2)
    job = wish(2, run_at=later, start_within=timedelta(hours=1)).job
    assert (job.run_at, job.start_by) == (later, later + timedelta(hours=1))
    assert run_next("default") is None
    job = wish(3).job
    assert (job.start_by, job.run_at < later) == (None, True)
    assert run_next("default") == job


def test_a_job_that_runs_or_has_begun_is_not_replaced() -> None:
    wish(1)
    running = claim()
    same = wish(2)
    assert (same.job, same.is_deduplicated, same.is_replaced) == (running, True, False)
    lifecycle.release(job_id=running.pk, lease=lease_of(running))
    assert not wish(3).is_replaced, "a worker has returned it in its middle"
    again = claim()
    retry = lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no")
    same = wish(4)
    assert (same.job, same.is_replaced) == (retry, False)
    assert set(Job.objects.values_list("arguments__upTo", flat=True)) == {1}


def test_while_one_job_runs_the_last_request_waits_behind_it() -> None:
    lasts = Job.Uniqueness.WAITING
    wish(1, lasts=lasts)
    running = claim()
    second = wish(2, lasts=lasts)
    assert (second.job != running, second.is_deduplicated) == (True, False)
    third = wish(3, lasts=lasts)
    assert (third.job, third.is_replaced, third.job.arguments["upTo"]) == (second.job, True, 3)


def test_without_replace_nothing_changes() -> None:
    first = wish(1)
    same = enqueue(kind=KIND, arguments={"upTo": 2}, unique=Uniqueness("the-count"))
    assert (same.job, same.is_replaced, same.job.arguments["upTo"]) == (first.job, False, 1)


@pytest.mark.parametrize("kind", [KIND, "cleanup"])
def test_a_request_without_a_key_replaces_nothing(kind: str) -> None:
    arguments = {"upTo": 1} if kind == KIND else {}
    with pytest.raises(InvalidJobArguments, match="Only a request with a uniqueKey"):
        enqueue(kind=kind, arguments=arguments, replace=True)


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_comes_first_wins() -> None:
    job = wish(1).job
    with transaction.atomic():
        assert claim() == job
        request = Background(lambda: wish(2))
        request.wait_until_blocked()
    same = request.result()
    assert (same.job, same.is_replaced, same.job.arguments["upTo"]) == (job, False, 1)


def test_it_is_told_by_http_by_a_command_and_on_the_page(cast: Cast) -> None:
    api = Api(_key("ops", Role.OPERATOR))
    body = {"kind": KIND, "uniqueKey": "k", "replace": True}
    first = api.post(JOBS, body | {"arguments": {"upTo": 1}})
    assert (first.status_code, first.json()["replaced"]) == (202, False)
    second = api.post(JOBS, body | {"arguments": {"upTo": 2}})
    assert (second.status_code, second.json()) == (200, first.json() | {"deduplicated": True, "replaced": True})
    refused = api.post(JOBS, {"kind": KIND, "replace": True, "arguments": {"upTo": 1}})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-job-arguments")
    assert refused.json()["errors"][0]["field"] == "replace"
    words = "waited with this unique key, and does now what you ask for"
    options = ("--arguments", '{"upTo": 3}', "--unique-key", "k", "--replace")
    assert words in run("enqueue_job", KIND, *options).out
    form = {"arguments-upTo": "4", "arguments-step": "1", "unique_key": "k", "replace": "on", "queue": "default"}
    client = signed_in("operator")
    answer = client.post(f"/admin/jobs/job/enqueue/?kind={KIND}", form, follow=True)
    assert words in shown(answer)
    assert Job.objects.get().arguments["upTo"] == 4


def test_callers_of_other_organizations_have_keys_of_their_own(cast: Cast) -> None:
    body = {"kind": KIND, "uniqueKey": "k", "replace": True, "arguments": {"upTo": 1}}
    for organization in (cast.north, cast.rival):
        assert Api(_key("bound", Role.OPERATOR, organization)).post(JOBS, body).json()["replaced"] is False
    assert Job.objects.count() == 2
