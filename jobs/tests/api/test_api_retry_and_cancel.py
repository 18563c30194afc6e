"""Retrying and cancelling over HTTP."""

from __future__ import annotations

import pytest

from conftest import Cast
from jobs.engine.models import Job
from jobs.tests.api.api_kinds import done, running, waiting
from orgs.tests.api import Api, kind_of, wrong_fields


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def test_a_failed_job_is_retried(api: Api, cast: Cast) -> None:
    job = done(cast.acme, broken=True)
    response = api.post(f"/retry-job/{job.pk}", {"reason": "The database is back."})
    again = Job.objects.latest("id")
    assert response.status_code == 202
    assert response.json() == {
        "originalJobId": job.pk,
        "retryJobId": again.pk,
        "message": "Job retry initiated successfully",
        "trackingUrl": f"/job-status/{again.pk}",
    }
    assert response["Location"] == f"/job-status/{again.pk}"
    assert (again.parent_job_id, again.reason) == (job.pk, "The database is back.")
    assert again.requested_by.startswith("key:")
    assert again.requested_by.endswith(" admin")


def test_a_job_that_is_open_or_done_cannot_be_retried(api: Api, cast: Cast) -> None:
    for job in (done(cast.acme), waiting(cast.acme), running(cast.south)):
        response = api.post(f"/retry-job/{job.pk}")
        assert (response.status_code, kind_of(response)) == (409, "job-not-retryable")
    assert Job.objects.count() == 3


def test_a_retry_sent_twice_with_a_key_is_one_retry(api: Api, cast: Cast) -> None:
    job = done(cast.acme, broken=True)
    answers = [api.post(f"/retry-job/{job.pk}", Idempotency_Key="k") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert Job.objects.count() == 2


def test_a_waiting_job_is_cancelled_at_once(api: Api, cast: Cast) -> None:
    job = waiting(cast.acme)
    response = api.post(f"/cancel-job/{job.pk}", {"reason": "Wrong flag."})
    assert response.status_code == 200
    assert response.json() == {
        "jobId": job.pk,
        "status": "CANCELLED",
        "message": "Job cancelled",
        "trackingUrl": f"/job-status/{job.pk}",
    }
    job.refresh_from_db()
    assert (job.status, job.cancel_reason, job.cancelled_by.split()[-1]) == ("CANCELLED", "Wrong flag.", "admin")


def test_a_running_job_is_told_to_stop(api: Api, cast: Cast) -> None:
    job = running(cast.acme)
    response = api.post(f"/cancel-job/{job.pk}")
    assert (response.status_code, response.json()["status"]) == (202, "IN_PROGRESS")
    job.refresh_from_db()
    assert job.cancel_requested_at is not None


def test_a_job_that_has_ended_cannot_be_cancelled(api: Api, cast: Cast) -> None:
    response = api.post(f"/cancel-job/{done(cast.acme).pk}")
    assert (response.status_code, kind_of(response)) == (409, "job-not-cancellable")


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "multipart/form-data; boundary=b"])
def test_no_body_is_needed_whatever_its_type(api: Api, cast: Cast, content_type: str) -> None:
    path = f"/cancel-job/{waiting(cast.acme).pk}"
    assert api.post(path, b"", Content_Type=content_type).status_code == 200


def test_the_form_without_fields_that_some_clients_send_is_no_body(api: Api, cast: Cast) -> None:
    assert api.client.post(f"/cancel-job/{waiting(cast.acme).pk}").status_code == 200
    assert api.client.post(f"/cancel-job/{waiting(cast.acme).pk}", {"reason": "x"}).status_code == 415


@pytest.mark.parametrize("body", [{"reason": "x" * 1001}, {"reason": 5}, {"reason": None}, {"reason": "a\x00b"}])
@pytest.mark.parametrize("action", ["retry-job", "cancel-job"])
def test_a_reason_that_is_none_is_refused(api: Api, cast: Cast, action: str, body: dict[str, object]) -> None:
    job = done(cast.acme, broken=True) if action == "retry-job" else waiting(cast.acme)
    assert wrong_fields(api.post(f"/{action}/{job.pk}", body)) == {"reason"}
    assert wrong_fields(api.post(f"/{action}/{job.pk}", {"because": "x"})) == {"because"}
    assert Job.objects.count() == 1
