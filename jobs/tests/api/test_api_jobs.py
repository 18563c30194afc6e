"""Following jobs over HTTP: status, lists, chains, failures."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from conftest import Cast
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job
from jobs.operations import job_operations
from jobs.tests.api.api_kinds import KIND, done, running, waiting
from jobs.tests.engine_steps import make_due
from orgs.tests.api import Api, ids, kind_of, wrong_fields
from orgs.tree import tree_operations


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def acme(cast: Cast, acme_key: str) -> Api:
    return Api(acme_key)


def test_a_waiting_job_shows_every_field_of_the_contract(api: Api, cast: Cast) -> None:
    job = waiting(cast.acme, featureFlagName="new-ui", enabled=True)
    answer = api.get(f"/job-status/{job.pk}").json()
    created = answer.pop("createdAt")
    assert datetime.fromisoformat(created) == job.created_at
    assert created.endswith("Z")
    assert datetime.fromisoformat(answer.pop("updatedAt")) == job.updated_at
    assert datetime.fromisoformat(answer.pop("runAt")) == job.run_at
    assert answer == {
        "id": job.pk,
        "organizationId": cast.acme.pk,
        "featureFlagName": "new-ui",
        "enabled": True,
        "status": "PENDING",
        "totalOrganizations": None,
        "processedOrganizations": 0,
        "failedOrganizations": 0,
        "supersededOrganizations": 0,
        "errorMessage": None,
        "retryCount": 0,
        "maxRetries": 3,
        "parentJobId": None,
        "startedAt": None,
        "completedAt": None,
        "final": False,
        "willRetry": False,
        "canRetry": False,
        "nextRetryAt": None,
        "kind": "test-of-the-api",
        "queue": "default",
        "priority": 0,
        "trigger": "request",
        "result": None,
        "artifacts": [],
        "batchId": None,
        "requestedBy": "test",
        "correlationId": "c",
        "attempt": {
            "status": "PENDING",
            "totalOrganizations": None,
            "processedOrganizations": 0,
            "failedOrganizations": 0,
            "errorMessage": None,
            "startedAt": None,
            "completedAt": None,
        },
        "chain": {"rootJobId": job.pk, "latestJobId": job.pk, "status": "PENDING"},
    }


def test_a_job_without_a_flag_has_none(api: Api, cast: Cast) -> None:
    answer = api.get(f"/job-status/{waiting(cast.acme, placement=True).pk}").json()
    assert (answer["featureFlagName"], answer["enabled"]) == (None, None)


def test_the_answer_says_when_a_job_for_later_and_a_retry_are_due(api: Api, cast: Cast) -> None:
    later = lifecycle.create(kind=KIND, organization_id=cast.acme.pk, run_at=timezone.now() + timedelta(hours=1))
    answer = api.get(f"/job-status/{later.pk}").json()
    assert (answer["status"], datetime.fromisoformat(answer["runAt"])) == ("PENDING", later.run_at)
    first = running(cast.acme)
    assert first.lease_token is not None
    retry = lifecycle.fail(job_id=first.pk, lease=first.lease_token, error="No luck.")
    assert retry is not None
    answer = api.get(f"/job-status/{retry.pk}").json()
    assert answer["runAt"] == answer["nextRetryAt"] == api.get(f"/job-retry-chain/{first.pk}").json()[1]["runAt"]


def test_a_failed_attempt_shows_the_retry_that_waits(api: Api, cast: Cast) -> None:
    first = running(cast.acme)
    assert first.lease_token is not None
    retry = lifecycle.fail(job_id=first.pk, lease=first.lease_token, error="No luck.")
    assert retry is not None
    answer = api.get(f"/job-status/{first.pk}").json()
    assert (answer["status"], answer["errorMessage"], answer["retryCount"]) == ("RETRYING", "No luck.", 1)
    assert answer["chain"] == {"rootJobId": first.pk, "latestJobId": retry.pk, "status": "RETRYING"}
    assert answer["nextRetryAt"] == api.get(f"/job-status/{retry.pk}").json()["nextRetryAt"] is not None


def test_there_is_no_next_retry_once_it_has_begun(api: Api, cast: Cast) -> None:
    first = running(cast.acme)
    assert first.lease_token is not None
    lifecycle.fail(job_id=first.pk, lease=first.lease_token, error="No luck.")
    make_due()
    retry = claiming.claim(queue=first.queue, worker="worker")
    assert retry is not None
    for status in ("RETRYING", "COMPLETED"):
        answers = [api.get(f"/job-status/{job.pk}").json() for job in (first, retry)]
        assert (answers[0]["status"], [answer["nextRetryAt"] for answer in answers]) == (status, [None, None])
        if status == "RETRYING":
            assert retry.lease_token is not None
            lifecycle.complete(job_id=retry.pk, lease=retry.lease_token)


def test_a_job_that_a_retry_healed_has_completed_with_the_counts_of_the_outcome(api: Api, cast: Cast) -> None:
    first = running(cast.acme)
    assert first.lease_token is not None
    lifecycle.record_progress(job_id=first.pk, lease=first.lease_token, total=20, processed=5)
    lifecycle.fail(job_id=first.pk, lease=first.lease_token, error="No luck.")
    retrying = api.get(f"/job-status/{first.pk}").json()
    assert (retrying["status"], retrying["final"], retrying["willRetry"]) == ("RETRYING", False, True)
    assert (retrying["processedOrganizations"], retrying["completedAt"]) == (5, None)
    make_due()
    retry = claiming.claim(queue=first.queue, worker="worker")
    assert retry is not None
    assert retry.lease_token is not None
    lifecycle.record_progress(job_id=retry.pk, lease=retry.lease_token, total=21, processed=20, failed=1)
    lifecycle.complete(job_id=retry.pk, lease=retry.lease_token, message="1 of 21 organizations failed")
    healed = api.get(f"/job-status/{first.pk}").json()
    counts = [healed[f"{name}Organizations"] for name in ("total", "processed", "failed")]
    assert (healed["status"], healed["final"], counts) == ("COMPLETED", True, [21, 20, 1])
    assert (healed["errorMessage"], healed["canRetry"]) == ("1 of 21 organizations failed", True)
    assert healed["completedAt"] == api.get(f"/job-status/{retry.pk}").json()["completedAt"]
    own = healed["attempt"]
    assert (own["status"], own["processedOrganizations"], own["errorMessage"]) == ("FAILED", 5, "No luck.")
    assert ids(api.get(f"/jobs/{cast.acme.pk}", status="FAILED")) == []
    assert ids(api.get(f"/jobs/{cast.acme.pk}", status="COMPLETED")) == [retry.pk, first.pk]


def test_after_a_retry_of_what_was_left_the_counts_are_those_of_all(api: Api, cast: Cast) -> None:
    first = done(cast.acme, failing=[cast.oslo.pk])
    assert api.get(f"/job-status/{first.pk}").json()["canRetry"]
    job_operations.retry(job_id=first.pk, by="test")
    again = claiming.claim(queue=first.queue, worker="worker")
    assert again is not None
    assert again.lease_token is not None
    assert again.only_behind
    lifecycle.record_progress(job_id=again.pk, lease=again.lease_token, total=1, processed=1)
    lifecycle.complete(job_id=again.pk, lease=again.lease_token)
    answers = [api.get(f"/job-status/{job.pk}").json() for job in (first, again)]
    counts = [[job[f"{name}Organizations"] for name in ("total", "processed", "failed")] for job in answers]
    assert counts == [[2, 2, 0], [1, 1, 0]]
    assert [job["canRetry"] for job in answers] == [False, False]


def test_a_failure_without_retries_announces_none(api: Api, cast: Cast) -> None:
    job = api.get(f"/job-status/{done(cast.acme, broken=True).pk}").json()
    assert (job["status"], job["retryCount"], job["maxRetries"]) == ("FAILED", 0, 0)
    assert (job["final"], job["willRetry"], job["canRetry"]) == (True, False, True)


def test_nobody_can_retry_the_job_of_a_deleted_organization(api: Api, cast: Cast) -> None:
    job = done(cast.oslo, broken=True)
    tree_operations.delete(organization_id=cast.oslo.pk)
    assert api.get(f"/job-status/{job.pk}").json()["canRetry"] is False
    assert kind_of(api.post(f"/retry-job/{job.pk}")) == "job-not-retryable"


def test_the_whole_chain_is_one_array_and_takes_no_parameters(api: Api, cast: Cast) -> None:
    first = done(cast.acme, broken=True)
    for _ in range(60):  # more than a page
        job_operations.retry(job_id=first.pk, by="test")
        runner.run_next("default")
    chain = api.get(f"/job-retry-chain/{first.pk}").json()
    assert [job["retryCount"] for job in chain] == [60, *range(1, 61)]
    assert wrong_fields(api.get(f"/job-retry-chain/{first.pk}", pageSize=5)) == {"pageSize"}


def test_the_chain_is_the_same_from_any_of_its_jobs(api: Api, cast: Cast) -> None:
    first = done(cast.acme, broken=True)
    second = job_operations.retry(job_id=first.pk, by="test")
    chains = [api.get(f"/job-retry-chain/{job.pk}").json() for job in (first, second)]
    assert chains[0] == chains[1]
    assert [(job["id"], job["trigger"], job["parentJobId"]) for job in chains[0]] == [
        (first.pk, "request", None),
        (second.pk, "manual", first.pk),
    ]
    assert set(chains[0][0]) == {
        "id", "status", "retryCount", "maxRetries", "parentJobId", "errorMessage", "createdAt", "runAt", "completedAt",
        "trigger", "attempt",
    }  # fmt: skip


def test_an_organizations_jobs_are_listed_newest_first(api: Api, cast: Cast) -> None:
    jobs = [waiting(cast.acme).pk for _ in range(3)]
    waiting(cast.north)
    assert ids(api.get(f"/jobs/{cast.acme.pk}")) == jobs[::-1]
    assert ids(api.get(f"/jobs/{cast.south.pk}")) == []


def test_the_list_is_filtered_by_status(api: Api, cast: Cast) -> None:
    completed, pending = done(cast.acme), waiting(cast.acme)
    assert ids(api.get(f"/jobs/{cast.acme.pk}", status="COMPLETED")) == [completed.pk]
    assert ids(api.get(f"/jobs/{cast.acme.pk}", status="PENDING")) == [pending.pk]
    for wrong in ("DONE", "pending", ""):
        assert wrong_fields(api.get(f"/jobs/{cast.acme.pk}", status=wrong)) == {"status"}


def test_the_list_shows_jobs_as_their_status_does(api: Api, cast: Cast) -> None:
    first = done(cast.acme, broken=True)
    job_operations.retry(job_id=first.pk, by="test")
    listed = api.get(f"/jobs/{cast.acme.pk}").json()["results"]
    assert listed == [api.get(f"/job-status/{job['id']}").json() for job in listed]
    assert {job["chain"]["status"] for job in listed} == {"RETRYING"}


def test_organizations_that_failed_are_listed_with_their_error(api: Api, cast: Cast) -> None:
    job = done(cast.acme, failing=[cast.rome.pk, cast.oslo.pk])
    tree_operations.delete(organization_id=cast.rome.pk)
    failures = api.get(f"/job-failures/{job.pk}").json()["results"]
    for failure in failures:
        assert failure.pop("createdAt").endswith("Z")
    assert failures == [
        {
            "organizationId": cast.oslo.pk,
            "organizationKey": "oslo",
            "organizationName": "Oslo",
            "error": f"No luck with {cast.oslo.pk}.",
        },
        {
            "organizationId": cast.rome.pk,
            "organizationKey": None,
            "organizationName": None,
            "error": f"No luck with {cast.rome.pk}.",
        },
    ]


def test_failures_come_in_pages(api: Api, cast: Cast) -> None:
    job = done(cast.acme, failing=[cast.oslo.pk, cast.bergen.pk, cast.rome.pk])
    page = api.get(f"/job-failures/{job.pk}", pageSize=2).json()
    rest = api.client.get(page["next"]).json()
    failed = [failure["organizationId"] for failure in page["results"] + rest["results"]]
    assert (failed, rest["next"]) == ([cast.oslo.pk, cast.bergen.pk, cast.rome.pk], None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/job-status/{job}"),
        ("GET", "/job-retry-chain/{job}"),
        ("GET", "/job-failures/{job}"),
        ("POST", "/retry-job/{job}"),
        ("POST", "/cancel-job/{job}"),
    ],
)
def test_a_strangers_job_is_answered_like_a_missing_one(acme: Api, cast: Cast, method: str, path: str) -> None:
    job = waiting(cast.rival)
    foreign, missing = (acme.send(method, path.format(job=pk)) for pk in (job.pk, 999_999))
    assert (foreign.status_code, kind_of(foreign)) == (404, "job-not-found")
    assert foreign.content == missing.content
    assert Job.objects.get().status == "PENDING"


def test_a_strangers_jobs_are_not_listed(acme: Api, cast: Cast) -> None:
    assert kind_of(acme.get(f"/jobs/{cast.rival.pk}")) == "organization-not-found"


def test_failures_that_moved_to_a_stranger_are_not_shown(acme: Api, api: Api, cast: Cast) -> None:
    job = done(cast.acme, failing=[cast.oslo.pk, cast.rome.pk])
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    path = f"/job-failures/{job.pk}"
    assert [failure["organizationKey"] for failure in acme.get(path).json()["results"]] == ["rome"]
    assert [failure["organizationKey"] for failure in api.get(path).json()["results"]] == ["oslo", "rome"]


def test_jobs_of_a_deleted_organization_remain_for_those_who_see_all(acme: Api, api: Api, cast: Cast) -> None:
    job = done(cast.oslo)
    tree_operations.delete(organization_id=cast.oslo.pk)
    assert (api.get(f"/job-status/{job.pk}").status_code, acme.get(f"/job-status/{job.pk}").status_code) == (200, 404)
