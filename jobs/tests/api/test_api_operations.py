"""Operations on many jobs over HTTP: retry all failed jobs, delete old jobs; and the list of workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from jobs.engine import worker_registry
from jobs.engine.models import Job
from jobs.operations import bulk_job, cleanup, retry_failed
from jobs.tests.api.api_kinds import done
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

RETRY = "/v1/jobs/retry-failed"
CLEAN_UP = "/v1/jobs/clean-up"


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def retries() -> set[int | None]:
    """The organizations whose jobs wait for a new round."""
    return set(Job.objects.filter(trigger=Job.Trigger.MANUAL).values_list("organization_id", flat=True))


def test_a_dry_run_counts_and_changes_nothing(api: Api, cast: Cast) -> None:
    done(cast.acme, broken=True), done(cast.rival, broken=True)
    assert api.post(RETRY, {"dryRun": True}).json() == {
        "dryRun": True, "wouldRetry": 2, "retried": 0, "skipped": 0, "skippedBecause": {}, "jobId": None,
        "trackingUrl": None,
    }  # fmt: skip
    assert api.post(RETRY, {"dryRun": True, "organizationId": "rival"}).json()["wouldRetry"] == 1
    assert retries() == set()


def test_all_failed_jobs_are_retried_with_the_reason(api: Api, cast: Cast) -> None:
    done(cast.acme, broken=True), done(cast.rival, broken=True), done(cast.oslo)
    response = api.post(RETRY, {"reason": "The database is back."})
    assert (response.status_code, response.json()["retried"], response.json()["skipped"]) == (200, 2, 0)
    assert retries() == {cast.acme.pk, cast.rival.pk}
    assert AuditEntry.objects.latest("id").reason == "The database is back."
    assert api.post(RETRY).json()["retried"] == 0  # they are under way already


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"organizationId": "north"}, {"oslo"}),
        ({"queue": "propagation"}, set()), ({"queue": "default"}, {"oslo", "rival"}),
        ({"since": "2100-01-01T00:00:00Z"}, set()), ({"since": "2000-01-01T00:00:00Z"}, {"oslo", "rival"}),
    ],
)  # fmt: skip
def test_filters_choose_the_jobs(api: Api, cast: Cast, filters: Any, found: set[str]) -> None:
    done(cast.oslo, broken=True), done(cast.rival, broken=True)
    assert api.post(RETRY, filters).json()["retried"] == len(found)
    assert retries() == {getattr(cast, name).pk for name in found}


def test_wrong_filters_are_refused(api: Api, cast: Cast) -> None:
    assert kind_of(api.post(RETRY, {"queue": "nowhere"})) == "queue-not-found"
    assert kind_of(api.post(RETRY, {"organizationId": "nobody"})) == "organization-not-found"
    assert wrong_fields(api.post(RETRY, {"since": "lately", "dryRun": "yes"})) == {"since", "dryRun"}
    assert wrong_fields(api.post(RETRY, {"status": "FAILED"})) == {"status"}


def test_a_bound_key_retries_the_jobs_of_its_subtree_only(cast: Cast) -> None:
    done(cast.oslo, broken=True), done(cast.rival, broken=True)
    bound = Api(_key("bound", Role.OPERATOR, cast.acme))
    assert bound.post(RETRY, {"dryRun": True}).json()["wouldRetry"] == 1
    assert kind_of(bound.post(RETRY, {"organizationId": "rival"})) == "organization-not-found"
    assert bound.post(RETRY).json()["retried"] == 1
    assert retries() == {cast.oslo.pk}


def test_more_jobs_than_one_request_can_retry_get_a_job_of_their_own(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_failed, "MAX_JOBS_IN_REQUEST", 1)
    done(cast.oslo, broken=True), done(cast.rome, broken=True), done(cast.rival, broken=True)
    bound = Api(_key("bound", Role.OPERATOR, cast.acme))
    response = bound.post(RETRY, {"reason": "The release is rolled back."})
    job = Job.objects.get(kind=bulk_job.KIND)
    assert (response.status_code, response["Location"]) == (202, f"/job-status/{job.pk}")
    assert (response.json()["jobId"], response.json()["wouldRetry"], response.json()["retried"]) == (job.pk, 2, 0)
    assert (job.organization_id, job.total, job.arguments["reason"]) == (
        cast.acme.pk, 2, "The release is rolled back.",
    )  # fmt: skip


def test_a_clean_up_is_counted_and_started_once(api: Api, cast: Cast) -> None:
    old = done(cast.acme)
    Job.objects.filter(pk=old.pk).update(completed_at=timezone.now() - timedelta(days=4_000))
    counted = api.post(CLEAN_UP, {"dryRun": True}).json()
    assert (counted["completed"], counted["failed"], counted["jobId"]) == (1, 0, None)
    assert not Job.objects.filter(kind=cleanup.KIND).exists()
    first, second = api.post(CLEAN_UP, {"reason": "The disk is full."}), api.post(CLEAN_UP)
    job = Job.objects.get(kind=cleanup.KIND)
    assert (first.status_code, first["Location"]) == (202, f"/job-status/{job.pk}")
    assert first.json()["jobId"] == second.json()["jobId"] == job.pk
    assert AuditEntry.objects.latest("id").reason == "The disk is full."


def test_bound_keys_start_no_clean_up_and_read_no_workers(cast: Cast) -> None:
    bound = Api(_key("bound", Role.ADMIN, cast.acme))
    assert kind_of(bound.post(CLEAN_UP)) == "outside-of-your-subtree"
    assert kind_of(bound.get("/v1/workers")) == "outside-of-your-subtree"


def test_the_workers_are_listed_with_their_jobs(api: Api) -> None:
    assert api.get("/v1/workers").json() == {"results": []}
    worker_registry.beat(queues=["default"], concurrency=4, pid=1)
    (worker,) = api.get("/v1/workers").json()["results"]
    assert (worker["state"], worker["queues"], worker["concurrency"]) == ("alive", ["default"], 4)
    assert (worker["busy"], worker["jobIds"]) == (0, [])
