"""Batches over HTTP: create, follow, add members, retry what failed, cancel; and who may see which batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast, _key
from jobs.batches.models import Batch
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.batches.batch_steps import CALLBACK, FOR_ADMINS, KIND, batch_of, claim, complete, fail, fresh
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

pytestmark = pytest.mark.django_db
BATCHES = "/v1/queue/batches"
TWO = [{"kind": KIND, "arguments": {"number": 1}, "name": "one"}, {"kind": KIND, "arguments": {"fails": True}}]


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def bound(organization: Any, role: Role = Role.OPERATOR) -> Api:
    return Api(_key("bound", role, organization))


def end(*ends: Callable[[Job], None]) -> None:
    """End one member after the other."""
    for step in ends:
        step(claim())


def test_a_batch_is_created_runs_and_tells_the_outcome_and_the_result_of_each_member(api: Api, cast: Cast) -> None:
    created = api.post(BATCHES, {
        "name": "both", "members": [{**TWO[0], "organizationId": "oslo"}, {**TWO[1], "required": True}],
        "organizationId": "acme", "onFinish": {"kind": CALLBACK}, "correlationId": "c-1", "reason": "why",
    })  # fmt: skip
    assert created.status_code == 202
    body = created.json()
    assert created["Location"] == body["batchUrl"] == f"{BATCHES}/{body['batchId']}"
    assert (body["outcome"], body["final"], body["totalMembers"], body["deduplicated"]) == (None, False, 2, False)
    assert (body["members"]["waiting"], body["members"]["percentEnded"], body["correlationId"]) == (2, 0, "c-1")
    for _ in range(2):
        runner.run_next("default")
    status = api.get(body["batchUrl"]).json()
    assert (status["outcome"], status["final"], status["generation"]) == ("FAILED", True, 1)
    assert (status["members"]["succeeded"], status["members"]["failed"]) == (1, 1)
    assert Job.objects.get(pk=status["callbackJobId"]).arguments == {"batchId": body["batchId"], "generation": 1}
    one, other = api.get(f"{body['batchUrl']}/members").json()["results"]
    assert api.get(one["trackingUrl"]).json()["batchId"] == body["batchId"]
    assert (one["name"], one["outcome"], one["result"], one["required"]) == ("one", "SUCCEEDED", {"number": 1}, False)
    assert (one["organizationId"], other["organizationId"]) == (cast.oslo.pk, cast.acme.pk)
    assert (other["outcome"], other["required"], other["canRetry"]) == ("FAILED", True, True)
    assert "told to fail" in other["errorMessage"]
    entry = AuditEntry.objects.get(action="batch.create")
    assert (entry.reason, entry.subject) == ("why", f"batch:{body['batchId']}")


def test_a_batch_with_the_key_of_an_open_one_is_that_one(api: Api) -> None:
    body = {"name": "b", "key": "k", "members": TWO}
    first, again = api.post(BATCHES, body), api.post(BATCHES, body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["deduplicated"]
    assert first.json()["batchId"] == again.json()["batchId"]
    assert Job.objects.filter(kind=KIND).count() == 2


def test_a_batch_without_members_has_ended_already(api: Api) -> None:
    body = api.post(BATCHES, {"name": "b", "members": []}).json()
    assert (body["outcome"], body["final"], body["members"]["percentEnded"]) == ("SUCCEEDED", True, 100)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"name": "b"}, "invalid-input"),
        ({"name": "b", "members": [{"kind": KIND, "mist": 1}]}, "invalid-input"),
        ({"name": "b", "members": [{"kind": "mist"}]}, "unknown-kind"),
        ({"name": "b", "members": [{"kind": KIND, "arguments": {"number": "x"}}]}, "invalid-job-arguments"),
        ({"name": "b", "members": [{"kind": KIND, "organizationId": "mist"}]}, "organization-not-found"),
        ({"name": "b", "members": [], "onFinish": {"kind": "mist"}}, "unknown-kind"),
        ({"name": "b", "members": [{"kind": KIND, "organizationId": "rome"}], "organizationId": "north"},
         "invalid-batch"),
    ],
)  # fmt: skip
def test_a_wrong_batch_is_refused_and_nothing_is_created(api: Api, body: dict[str, Any], problem: str) -> None:
    response = api.post(BATCHES, body)
    assert kind_of(response) == problem
    assert not Batch.objects.exists()
    assert not Job.objects.exists()


def test_members_and_callbacks_take_the_other_names_of_kinds(api: Api) -> None:
    body = {"name": "b", "members": [{"kind": "retraining"}], "onFinish": {"kind": "retraining"}}
    created = api.post(BATCHES, body).json()
    assert created["onFinish"]["kind"] == "recalculation"
    added = api.post(f"{BATCHES}/{created['batchId']}/members", {"members": [{"kind": "retraining"}]})
    assert (added.status_code, added.json()["totalMembers"]) == (202, 2)
    assert set(Job.objects.values_list("kind", flat=True)) == {"recalculation"}


def test_a_clean_up_for_later_and_one_for_now_are_members_of_one_batch(api: Api) -> None:
    later = {"kind": "cleanup", "runAt": "2090-01-31T01:00:00Z"}
    assert api.post(BATCHES, {"name": "b", "members": [later, {"kind": "cleanup"}]}).status_code == 202
    refused = api.post(BATCHES, {"name": "c", "members": [later, {"kind": "cleanup"}]})
    assert (kind_of(refused), "there is another one: cleanup" in refused.json()["detail"]) == ("invalid-batch", True)


def test_the_message_about_a_wrong_member_names_its_place(api: Api) -> None:
    response = api.post(BATCHES, {"name": "b", "members": [TWO[0], {"kind": KIND, "required": "yes"}]})
    assert any("1" in field for field in wrong_fields(response))


def test_members_are_added_until_the_batch_has_ended(api: Api) -> None:
    batch = batch_of(1)
    added = api.post(f"{BATCHES}/{batch.pk}/members", {"members": TWO[:1]})
    assert (added.status_code, added.json()["totalMembers"]) == (202, 2)
    end(complete, complete)
    refused = api.post(f"{BATCHES}/{batch.pk}/members", {"members": TWO[:1]})
    assert (refused.status_code, kind_of(refused)) == (409, "batch-ended")


def test_what_failed_is_retried_and_the_members_can_be_filtered(api: Api) -> None:
    batch = batch_of(3)
    end(complete, fail, fail)
    failed = api.get(f"{BATCHES}/{batch.pk}/members?status=FAILED").json()["results"]
    assert [member["name"] for member in failed] == ["m1", "m2"]
    response = api.post(f"{BATCHES}/{batch.pk}/retry", {"reason": "mended"})
    assert response.status_code == 202
    body = response.json()
    assert (body["done"], body["jobId"], body["generation"], body["outcome"]) == (2, None, 2, None)
    end(complete, complete)
    assert fresh(batch).outcome == "SUCCEEDED"
    again = api.post(f"{BATCHES}/{batch.pk}/retry")
    assert (again.status_code, kind_of(again)) == (409, "batch-not-retryable")


@pytest.mark.parametrize(("runs", "status"), [(False, 200), (True, 202)])
def test_a_batch_is_cancelled(api: Api, runs: bool, status: int) -> None:
    batch = batch_of(2)
    if runs:
        claim()
    response = api.delete(f"{BATCHES}/{batch.pk}", X_Reason="too much")
    assert (response.status_code, response.json()["done"]) == (status, 2)
    assert response.json()["cancelling"] == runs
    assert response.json()["cancelReason"] == "too much"
    if not runs:
        again = api.delete(f"{BATCHES}/{batch.pk}")
        assert (again.status_code, kind_of(again)) == (409, "batch-ended")


def test_a_repeated_request_with_the_same_key_is_carried_out_once(api: Api) -> None:
    body = {"name": "b", "members": TWO}
    first = api.post(BATCHES, body, **{"Idempotency-Key": "k"})
    again = api.post(BATCHES, body, **{"Idempotency-Key": "k"})
    assert first.json() == again.json()
    assert Batch.objects.count() == 1


def test_the_list_has_the_batches_that_match_newest_first(api: Api, cast: Cast) -> None:
    ended, opened = batch_of(0, key="k"), batch_of(1, organization_id=cast.oslo.pk)

    def ids(query: str = "") -> list[int]:
        return [batch["batchId"] for batch in api.get(BATCHES + query).json()["results"]]

    assert ids() == [opened.pk, ended.pk]
    assert ids("?outcome=OPEN") == [opened.pk]
    assert ids("?outcome=SUCCEEDED") == ids("?key=k") == [ended.pk]
    assert ids("?organizationId=oslo") == [opened.pk]
    assert ids("?organizationId=acme") == []


def test_a_bound_caller_sees_only_batches_of_its_subtree(cast: Cast) -> None:
    own, other, of_all = (
        batch_of(1, organization_id=cast.oslo.pk),
        batch_of(1, organization_id=cast.rival.pk),
        batch_of(1),
    )
    north = bound(cast.north)
    assert [batch["batchId"] for batch in north.get(BATCHES).json()["results"]] == [own.pk]
    for hidden in (other, of_all):
        calls: list[Callable[[], Any]] = [
            lambda batch=hidden: north.get(f"{BATCHES}/{batch.pk}"),
            lambda batch=hidden: north.get(f"{BATCHES}/{batch.pk}/members"),
            lambda batch=hidden: north.delete(f"{BATCHES}/{batch.pk}"),
            lambda batch=hidden: north.post(f"{BATCHES}/{batch.pk}/retry"),
            lambda batch=hidden: north.post(f"{BATCHES}/{batch.pk}/members", {"members": TWO}),
        ]
        for call in calls:
            response = call()
            assert (response.status_code, kind_of(response)) == (404, "batch-not-found")
        assert fresh(hidden).total == 1
    assert north.get(f"{BATCHES}/{own.pk}").status_code == 200


def test_a_bound_caller_creates_batches_for_its_subtree_only(cast: Cast) -> None:
    north = bound(cast.north)
    created = north.post(BATCHES, {"name": "b", "members": [{**TWO[0], "organizationId": "oslo"}, TWO[0]]})
    assert created.status_code == 202
    assert created.json()["organizationId"] == cast.north.pk
    ids = (
        Job.objects.filter(batch_id=created.json()["batchId"]).order_by("pk").values_list("organization_id", flat=True)
    )
    assert list(ids) == [cast.oslo.pk, cast.north.pk]
    outside = north.post(BATCHES, {"name": "b", "members": [{**TWO[0], "organizationId": "rome"}]})
    assert (outside.status_code, kind_of(outside)) == (404, "organization-not-found")
    for body in ({"members": [{"kind": "cleanup"}]}, {"members": [], "onFinish": {"kind": "cleanup"}}):
        assert north.post(BATCHES, {"name": "b", **body}).status_code == 403


def test_only_operators_change_batches(cast: Cast, reader_key: str) -> None:
    batch, reader = batch_of(1), Api(reader_key)
    assert reader.get(f"{BATCHES}/{batch.pk}").status_code == 200
    assert reader.post(BATCHES, {"name": "b", "members": []}).status_code == 403
    assert reader.delete(f"{BATCHES}/{batch.pk}").status_code == 403
    assert reader.post(f"{BATCHES}/{batch.pk}/retry").status_code == 403
    assert reader.post(f"{BATCHES}/{batch.pk}/members", {"members": TWO}).status_code == 403


def test_a_large_batch_needs_as_many_queries_as_a_small_one(api: Api) -> None:
    def queries(count: int, addition: str = "") -> int:
        batch = batch_of(count)
        with CaptureQueriesContext(connection) as found:
            assert api.get(f"{BATCHES}/{batch.pk}{addition}").status_code == 200
        return len(found)

    queries(1)  # the first one also records the use of the key
    assert queries(1) == queries(20)
    assert queries(1, "/members") == queries(20, "/members")


@pytest.mark.parametrize("where", ["members", "onFinish"])
def test_a_member_or_a_callback_needs_the_role_of_its_kind(cast: Cast, where: str) -> None:
    part = {"kind": FOR_ADMINS}
    body = {"name": "b", "members": [part] if where == "members" else [], "onFinish": {"kind": KIND}}
    if where == "onFinish":
        body["onFinish"] = part
    refused = bound(cast.north).post(BATCHES, body)
    assert (refused.status_code, kind_of(refused)) == (403, "not-permitted")
    assert not Batch.objects.exists()
    assert bound(cast.north, Role.ADMIN).post(BATCHES, body).status_code == 202
