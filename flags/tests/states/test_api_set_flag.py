"""Setting a flag over HTTP: at once on a leaf, by a job on a parent."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import Change, FlagState
from flags.tests.states import faults
from jobs.engine.models import Job, Queue
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tree import tree_operations
from orgs.tree.models import Organization


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def test_on_a_leaf_it_is_done_at_once(api: Api, cast: Cast) -> None:
    response = api.post(f"/{cast.oslo.pk}/new-ui/true")
    flag = Flag.objects.get(key="new-ui")
    assert response.status_code == 200
    assert response.json() == {
        "featureFlag": {
            "id": flag.pk, "name": "new-ui", "enabled": True, "organizationId": cast.oslo.pk, "storedValue": True,
            "reason": "TARGETING_MATCH", "rule": "organization", "dependsOnUser": False, "rolloutPercentage": None,
        },
        "message": "Feature flag updated immediately",
        "processedImmediately": True,
        "jobId": None,
        "changeNumber": Change.objects.get().number,
        "created": True,
    }  # fmt: skip
    assert FlagState.objects.get().enabled is True
    assert not Job.objects.exists()


def test_on_a_parent_a_job_begins(api: Api, cast: Cast) -> None:
    response = api.post(f"/{cast.acme.pk}/new-ui/false")
    job = Job.objects.get()
    assert response.status_code == 202
    assert response["Location"] == f"/job-status/{job.pk}"
    assert response.json() == {
        "message": "Background processing started for organization hierarchy",
        "processedImmediately": False,
        "jobId": job.pk,
        "trackingUrl": f"/job-status/{job.pk}",
        "organizationId": cast.acme.pk,
        "featureFlagName": "new-ui",
        "enabled": False,
        "offForEverybody": None,
        "changeNumber": Change.objects.get().number,
        "created": True,
    }


def test_the_job_knows_who_asked_and_in_which_request(api: Api, cast: Cast) -> None:
    response = api.post(f"/{cast.acme.pk}/new-ui/true", X_Request_ID="req-7")
    job, change = Job.objects.get(), Change.objects.get()
    assert response["X-Request-ID"] == job.correlation_id == "req-7"
    assert job.requested_by == change.requested_by
    assert job.requested_by.startswith("key:")
    assert job.requested_by.endswith(" admin")
    answer = api.get(f"/job-status/{job.pk}").json()
    assert (answer["featureFlagName"], answer["enabled"]) == ("new-ui", True)


@pytest.mark.django_db(transaction=True)
def test_without_a_worker_the_job_runs_in_the_request(api: Api, cast: Cast, settings: Any) -> None:
    settings.JOBS_INLINE = True
    job_id = _set(api, cast.acme, Idempotency_Key="k").json()["jobId"]
    answer = api.get(f"/job-status/{job_id}").json()
    assert (answer["status"], answer["processedOrganizations"]) == ("COMPLETED", 6)
    rows = FlagState.objects.filter(enabled=True, source=cast.acme)
    assert set(rows.values_list("organization_id", flat=True)) == {member.pk for member in cast.of_acme}


def _set(api: Api, organization: Organization, **headers: str) -> Any:
    return api.post(f"/{organization.pk}/new-ui/true", **headers)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_has_run_in_the_request_is_not_said_to_have_started(api: Api, cast: Cast, settings: Any) -> None:
    settings.JOBS_INLINE = True
    done = _set(api, cast.acme)
    assert done.status_code == 200
    assert done.json()["processedImmediately"]
    assert done.json()["message"] == "Feature flag updated immediately"
    assert done.json()["featureFlag"]["enabled"]
    assert api.get(f"/job-status/{done.json()['jobId']}").json()["status"] == "COMPLETED"
    later = _set(api, cast.acme, Idempotency_Key="k").json()
    assert later["message"] == "The job runs in this request; trackingUrl tells how it ended"
    assert api.get(later["trackingUrl"]).json()["final"]
    with faults.refusals():
        faults.refuse(*(organization.pk for organization in cast.of_acme))
        Queue.objects.update(max_retries=0)
        failed = _set(api, cast.acme)
    assert (failed.status_code, failed.json()["processedImmediately"]) == (202, False)
    assert failed.json()["message"].startswith("The job has ended as FAILED: All 6 organizations failed; the first ")


@pytest.mark.parametrize("word", ["TRUE", "True", "1", "yes", "null", "tru", "true%20", "%D1%82rue"])
def test_anything_but_true_and_false_is_refused(api: Api, cast: Cast, word: str) -> None:
    assert wrong_fields(api.post(f"/{cast.oslo.pk}/new-ui/{word}")) == {"enabled"}
    assert not Change.objects.exists()


@pytest.mark.parametrize(
    "name", ["-a", ".a", "_a", "a%20b", "a%0A", "%C3%A9", "a'--", "x" * 256, "%D9%A3", "a%3Fb", "%ED%A0%80"]
)
def test_a_name_that_no_flag_can_have_is_refused(api: Api, cast: Cast, name: str) -> None:
    for response in (api.post(f"/{cast.oslo.pk}/{name}/true"), api.get(f"/{cast.oslo.pk}/{name}")):
        assert (response.status_code, kind_of(response)) == (400, "invalid-flag-name")
    assert not Flag.objects.exists()


@pytest.mark.parametrize("name", ["a", "9", "A.b_c-D", "x" * 255, "true", "flags"])
def test_any_other_name_makes_a_flag(api: Api, cast: Cast, name: str) -> None:
    assert api.post(f"/{cast.oslo.pk}/{name}/true").json()["featureFlag"]["name"] == name


def test_names_differ_by_case(api: Api, cast: Cast) -> None:
    api.post(f"/{cast.oslo.pk}/Flag/true")
    assert kind_of(api.get(f"/{cast.oslo.pk}/flag")) == "flag-not-found"


def test_unknown_flags_may_be_forbidden(api: Api, cast: Cast, settings: Any) -> None:
    settings.FLAGS_CREATE_ON_SET = False
    response = api.post(f"/{cast.oslo.pk}/new-ui/true")
    assert (response.status_code, kind_of(response)) == (404, "flag-not-found")


@pytest.mark.parametrize("organization_id", [999_999, 2**63 - 1])
def test_on_an_organization_that_does_not_exist_nothing_is_set(api: Api, organization_id: int) -> None:
    response = api.post(f"/{organization_id}/new-ui/true")
    assert (response.status_code, kind_of(response)) == (404, "organization-not-found")
    assert not Flag.objects.exists()


def test_a_strangers_flags_are_neither_set_nor_seen(cast: Cast, acme_key: str) -> None:
    acme = Api(acme_key)
    assert kind_of(acme.post(f"/{cast.rival.pk}/new-ui/true")) == "organization-not-found"
    assert kind_of(acme.get(f"/{cast.rival.pk}/new-ui")) == "organization-not-found"
    assert not Change.objects.exists()


def test_sent_twice_with_a_key_it_is_one_change(api: Api, cast: Cast) -> None:
    answers = [api.post(f"/{cast.acme.pk}/new-ui/true", Idempotency_Key="k") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Location"] == answers[0]["Location"]
    assert (Change.objects.count(), Job.objects.count()) == (1, 1)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_no_body_is_needed(api: Api, cast: Cast, body: bytes) -> None:
    assert api.post(f"/{cast.oslo.pk}/new-ui/true", body).status_code == 200
    assert api.client.post(f"/{cast.oslo.pk}/new-ui/true").status_code == 200


def test_a_body_that_says_something_is_refused(api: Api, cast: Cast) -> None:
    assert wrong_fields(api.post(f"/{cast.oslo.pk}/new-ui/true", {"enabled": False})) == {"enabled"}
    assert not Change.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_move_answers_with_the_jobs_that_carry_the_new_values(api: Api, cast: Cast, settings: Any) -> None:
    settings.JOBS_INLINE = True
    settings.FLAGS_INLINE_ROWS = 2
    api.post(f"/{cast.rival.pk}/new-ui/true")
    answer = api.patch(f"/organizations/{cast.north.pk}", {"parentId": cast.rival.pk}).json()
    (job_id,) = answer["jobs"]
    job = api.get(f"/job-status/{job_id}").json()
    assert (job["status"], job["organizationId"], job["featureFlagName"]) == ("COMPLETED", cast.north.pk, None)
    assert Job.objects.get(pk=job_id).requested_by.endswith(" admin")
    assert api.get(f"/{cast.oslo.pk}/new-ui").json()["sourceOrganizationId"] == cast.rival.pk


def test_a_created_organization_has_its_parents_values(api: Api, cast: Cast) -> None:
    api.post(f"/{cast.oslo.pk}/new-ui/true")
    created = api.post("/organizations", {"name": "N", "key": "n", "parentId": cast.oslo.pk}).json()
    assert created["jobs"] == []
    assert api.get(f"/{created['id']}/new-ui").json()["featureFlag"]["enabled"] is True
    assert tree_operations.delete(organization_id=created["id"]) == 1
