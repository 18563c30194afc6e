"""What a list of jobs says when it is empty, how it counts, and which of its rows are sent anew."""

from __future__ import annotations

import re

import pytest

from conftest import Cast
from flagsite.core.admin.capped_paginator import CappedPaginator
from jobs.engine import lifecycle
from jobs.engine.models import Job
from jobs.operations import job_operations
from jobs.tests.engine_steps import claimed, lease_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

LIST = "/admin/jobs/job/"


def test_a_list_without_jobs_offers_only_what_one_can_do(cast: Cast) -> None:
    client = signed_in("admin")
    empty = shown(client.get(LIST))
    assert ("There is nothing yet" in empty, "Show all" in empty, "Create a new item" in empty) == (True, False, False)
    for asked in ("?q=nothing", "?status__exact=FAILED"):
        page = shown(client.get(LIST + asked))
        assert ("Nothing matches" in page, "Show all" in page, "Add job" in page) == (True, True, False)


@pytest.mark.parametrize(("most", "words"), [(2, "more than 2"), (20_000, "12,345")])
def test_the_count_of_a_long_list_has_its_thousands_apart(most: int, words: str) -> None:
    class LongList(CappedPaginator):
        max_counted_rows = most
        counted_rows = 12_345

    assert LongList(Job.objects.order_by("id"), 50).count_in_words == words


def test_of_a_list_only_what_is_under_way_is_sent_anew_and_once_more_when_it_has_ended(cast: Cast) -> None:
    client = signed_in("operator")
    done, ends, runs = (claimed(organization_id=cast.oslo.pk) for _ in range(3))
    lifecycle.complete(job_id=done.pk, lease=lease_of(done))
    ids = f"{done.pk},{ends.pk},{runs.pk}"

    def sent(shown_open: str) -> dict[int, bool]:
        """The jobs whose cells are sent, and whether each is still marked as one that may change."""
        page = shown(client.get(f"{LIST}live/?ids={ids}&open={shown_open}"))
        found = re.findall(r'<span id="job-(\d+)-status"[^>]*?(data-open="\d+")?>', page)
        return {int(number): bool(mark) for number, mark in found}

    under_way = set(re.findall(r'data-open="(\d+)"', shown(client.get(LIST))))
    assert under_way == {str(ends.pk), str(runs.pk)}
    lifecycle.fail(job_id=ends.pk, lease=lease_of(ends), error="no", permanent=True)
    assert sent(",".join(under_way)) == {ends.pk: False, runs.pk: True}
    assert sent(str(runs.pk)) == {runs.pk: True}
    job_operations.retry(job_id=ends.pk, by="olga")  # somebody else, on another page
    assert sent(str(runs.pk)) == {ends.pk: True, runs.pk: True}


def test_a_row_of_what_failed_is_retried_with_one_click_that_leads_back_to_the_list(cast: Cast) -> None:
    failed = claimed(organization_id=cast.oslo.pk)
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no", permanent=True)
    client = signed_in("operator")
    page = shown(client.get(LIST))
    button = re.search(r'<button [^>]*formaction="([^"]*)"[^>]*>Retry', page)
    assert button is not None
    came_from = f"http://testserver{LIST}?status__exact=FAILED"
    answer = client.post(button[1], {"confirmed": "1"}, headers={"Referer": came_from})
    assert answer["Location"] == f"{LIST}?status__exact=FAILED"
    assert Job.objects.latest("id").parent_job_id == failed.pk
    assert "1 job was retried." in shown(client.get(LIST))


def test_one_click_leads_to_no_page_of_others(cast: Cast) -> None:
    failed = claimed(organization_id=cast.oslo.pk)
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no", permanent=True)
    address = f"{LIST}{failed.pk}/retry/do/"
    answer = signed_in("operator").post(
        address, {"confirmed": "1"}, headers={"Referer": "https://elsewhere.example/admin/"}
    )
    assert answer["Location"] == f"{LIST}{failed.pk}/change/"


def test_a_viewer_is_offered_no_retry(cast: Cast) -> None:
    failed = claimed(organization_id=cast.oslo.pk)
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no", permanent=True)
    assert "formaction" not in shown(signed_in("viewer").get(LIST))
