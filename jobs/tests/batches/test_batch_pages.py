"""The admin site's pages of batches: progress, members, retry what failed, cancel, and create."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from jobs.batches import admin as batch_admin
from jobs.batches.models import Batch
from jobs.engine.models import Job
from jobs.tests.batches.batch_steps import CALLBACK, KIND, batch_of, claim, complete, fail, fresh
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/batch/"
MEMBERS = json.dumps([{"kind": KIND, "arguments": {"number": 1}, "name": "one"}])


def page_of(batch: Batch, part: str = "change/") -> str:
    return f"{LIST}{batch.pk}/{part}"


def test_the_list_shows_outcome_and_progress_and_filters_by_outcome(cast: Cast) -> None:
    half, ended = batch_of(2, organization_id=cast.oslo.pk), batch_of(0)
    fail(claim())
    client = signed_in("viewer")
    page = shown(client.get(LIST))
    for words in ("OPEN", "SUCCEEDED", "1 of 2", "1 not succeeded", "Acme › North › Oslo"):
        assert words in page
    for query, batch, other in (("OPEN", half, ended), ("SUCCEEDED", ended, half)):
        filtered = shown(client.get(f"{LIST}?outcome={query}"))
        assert page_of(batch) in filtered
        assert page_of(other) not in filtered


def test_the_search_finds_a_number_a_key_and_a_correlation_id() -> None:
    batch, other = batch_of(1, key="k-1", correlation_id="c-1"), batch_of(1)
    client = signed_in("viewer")
    for term in (str(batch.pk), "k-1", "c-1"):
        page = shown(client.get(f"{LIST}?q={term}"))
        assert page_of(batch) in page
        assert page_of(other) not in page


def test_the_page_tells_how_each_member_stands_and_follows_while_it_is_open() -> None:
    batch = batch_of(3, required=1)
    fail(claim()), complete(claim())  # type: ignore[func-returns-value]
    client = signed_in("operator")
    page = shown(client.get(page_of(batch)))
    for words in (
        "2 of 3 members",
        "m0",
        "required",
        "FAILED",
        "COMPLETED",
        "PENDING",
        "Retry what failed",
        "Cancel the",
    ):
        assert words in page
    assert page_of(batch, "live/") in page
    failed = shown(client.get(page_of(batch) + "?status=FAILED"))
    names = set(re.findall(r"\bm[0-9]\b", failed))  # whole words, because tokens of a page have any letters
    assert names == {"m0"}
    complete(claim())
    ended = shown(client.get(page_of(batch, "live/")))
    assert page_of(batch, "live/") not in ended, "nothing changes any more"
    assert f"job {Job.objects.get(kind=CALLBACK).pk}" in ended


def test_the_page_of_a_member_leads_to_its_batch_if_the_person_may_see_it(cast: Cast) -> None:
    batch = batch_of(1)
    job = Job.objects.get(batch=batch)
    Job.objects.filter(pk=job.pk).update(organization=cast.oslo)
    address = f"/admin/jobs/job/{job.pk}/change/"
    assert page_of(batch) in shown(signed_in("viewer").get(address))
    assert page_of(batch) not in shown(signed_in("viewer", bound_to=cast.north, name="bo").get(address))


def test_many_members_are_shown_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_admin, "MEMBERS_PER_PAGE", 2)
    batch, client = batch_of(3), signed_in("viewer")
    first, _, last = Job.objects.filter(batch=batch).order_by("pk")
    page = shown(client.get(page_of(batch)))
    assert f"/admin/jobs/job/{first.pk}/change/" in page
    assert f"/admin/jobs/job/{last.pk}/change/" not in page
    following = shown(client.get(page_of(batch) + f"?after={last.pk - 1}"))
    assert f"/admin/jobs/job/{last.pk}/change/" in following


def test_an_operator_retries_what_failed_with_a_reason() -> None:
    batch, client = batch_of(2), signed_in("operator")
    fail(claim()), fail(claim())  # type: ignore[func-returns-value]
    assert "2 of 2" in shown(client.get(page_of(batch, "retry/")))
    answer = client.post(page_of(batch, "retry/"), {"reason": "mended"}, follow=True)
    assert "2 members retried. Reason: mended" in shown(answer)
    assert (fresh(batch).generation, fresh(batch).is_open) == (2, True)
    assert AuditEntry.objects.get(action="batch.retry").reason == "mended"
    again = client.post(page_of(batch, "retry/"), follow=True)
    assert "No member of batch" in shown(again)


def test_an_operator_cancels_a_batch_with_a_reason() -> None:
    batch, client = batch_of(2), signed_in("operator")
    answer = client.post(page_of(batch, "cancel/"), {"reason": "too much"}, follow=True)
    page = shown(answer)
    assert "2 members cancelled. Reason: too much" in page
    assert "Cancelled by" in page
    assert fresh(batch).outcome == "CANCELLED"


def test_an_operator_creates_a_batch_and_adds_members(cast: Cast) -> None:
    client = signed_in("operator")
    fields = {"name": "new", "members": MEMBERS, "organization": "oslo", "failure_policy": "stop_at_first_failure",
              "on_finish": CALLBACK, "on_finish_arguments": '{"word": "done"}', "reason": "why"}  # fmt: skip
    client.post(f"{LIST}add/", fields)
    batch = Batch.objects.get()
    assert (batch.organization_id, batch.failure_policy, batch.reason) == (cast.oslo.pk, "stop_at_first_failure", "why")
    assert (batch.on_finish_kind, batch.on_finish_arguments) == (CALLBACK, {"word": "done"})
    client.post(page_of(batch, "members/"), {"members": MEMBERS})
    assert fresh(batch).total == 2


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ("no JSON", "Enter a valid JSON"),
        ('[{"kind": "mist"}]', "No job of the kind"),
        ('[{"kind": "cleanup", "mist": 1}]', "members.0.mist"),
        (
            json.dumps([{"kind": KIND, "arguments": {"number": "x"}}]),
            "members.0.arguments.number: Write a whole",
        ),
    ],
)
def test_a_wrong_batch_is_refused_on_the_form(members: str, words: str) -> None:
    fields = {"name": "new", "members": members, "failure_policy": "wait_for_all"}
    assert words in shown(signed_in("operator").post(f"{LIST}add/", fields))
    assert not Batch.objects.exists()


def test_a_bound_person_sees_and_changes_only_batches_of_their_subtree(cast: Cast) -> None:
    own, other = batch_of(1, organization_id=cast.oslo.pk), batch_of(1, organization_id=cast.rome.pk)
    client = signed_in("operator", bound_to=cast.north)
    page = shown(client.get(LIST))
    assert page_of(own) in page
    assert page_of(other) not in page
    for part in ("change/", "live/", "members/", "retry/", "cancel/"):
        assert client.get(page_of(other, part)).status_code == 404
    assert client.post(page_of(other, "cancel/")).status_code == 404
    assert fresh(other).is_open


def test_a_large_list_and_a_large_batch_need_as_many_queries_as_small_ones() -> None:
    client = signed_in("viewer")

    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.get(address).status_code == 200
        return len(found)

    small = batch_of(1)
    queries(LIST)
    few = queries(LIST)
    large = batch_of(20)
    for _ in range(8):
        batch_of(2)
    assert queries(LIST) == few
    assert queries(page_of(small)) == queries(page_of(large))
