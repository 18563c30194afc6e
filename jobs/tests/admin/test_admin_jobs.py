"""Who sees which jobs in the admin site, who may do what to them, and what is said of those that were passed over."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flagsite.core.errors import FlagsiteError
from jobs.admin import jobs as admin
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, JobFailure
from jobs.metrics import probe_job
from jobs.operations import bulk, cleanup, job_operations, queue_operations
from jobs.operations.bulk import OPERATIONS
from jobs.tests.engine_steps import KIND, LONG_AGO, by_hand, changed, claimed, lease_of, waiting
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/job/"


def job_of(organization: Organization, **columns: Any) -> Job:
    return changed(
        lifecycle.create(
            kind=KIND, organization_id=organization.pk, arguments={"featureFlagName": "checkout", "enabled": True}
        ),
        **({"total": 10} | columns),
    )


def numbers(page: str) -> set[int]:
    """The jobs that the list shows."""
    return {int(part.partition('"')[0]) for part in page.split('data-job="')[1:]}


def test_the_list_tells_of_flag_path_and_a_paused_queue(cast: Cast) -> None:
    job_of(cast.oslo)
    queue_operations.pause("default", by="olga", reason="deploy")
    page = shown(signed_in("viewer").get(LIST))
    for words in ("checkout <strong>on</strong>", "Acme › North › Oslo", "queue paused", "1 of 4"):
        assert words in page


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?status__exact=PENDING", {"first", "second"}),
        ("?status__exact=FAILED", {"failed"}),
        ("?queue__exact=propagation", set()),
        ("?below=north", {"first", "second"}),
        ("?below=nowhere", set()),
        ("?flag=checkout", {"first", "second", "failed"}),
        ("?flag=check", set()),
        ("?by=alice", {"second"}),
        ("?within=1h", {"first", "second", "failed"}),
        ("?ended={hour}", {"failed"}),
        ("?ended=2001-02-03T04", set()),
        ("?ended=9999-12-31T23", set()),
        ("?ended=yesterday", set()),
        ("?trigger__exact=manual", set()),
        ("?q=oslo", {"first"}),
        ("?q=BERGEN", {"second"}),
        ("?q=c-2", {"failed"}),
        ("?q=checkout", {"first", "second", "failed"}),
    ],
)
def test_the_list_is_narrowed(cast: Cast, query: str, wanted: set[str]) -> None:
    jobs = {
        "first": job_of(cast.oslo),
        "second": job_of(cast.bergen, requested_by="user:alice"),
        "failed": job_of(cast.rome, correlation_id="c-2", priority=9),
    }
    failed = claiming.claim(queue="default", worker="w")
    assert failed == jobs["failed"]
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no", permanent=True)
    hour = f"{Job.objects.get(pk=failed.pk).completed_at:%Y-%m-%dT%H}"
    page = shown(signed_in("viewer").get(LIST + query.format(hour=hour)))
    assert numbers(page) == {jobs[name].pk for name in wanted}


def test_the_canarys_jobs_are_shown_to_who_asks_for_them(cast: Cast) -> None:
    work, bird = job_of(cast.oslo), probe_job.send_probe()
    assert bird is not None
    client = signed_in("viewer")
    shown_for = {query: numbers(shown(client.get(LIST + query))) for query in ("", "?canary=too", "?canary=only")}
    assert shown_for == {"": {work.pk}, "?canary=too": {work.pk, bird.pk}, "?canary=only": {bird.pk}}


def test_organizations_of_others_hide_none_of_the_callers_own_from_the_search(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "MAX_ORGANIZATIONS_OF_NAME", 1)
    for key in ("depot-1", "depot-2"):
        tree_operations.create(name="Depot", key=key, parent_id=cast.rival.pk)
    own = tree_operations.create(name="Depot", key="depot-3", parent_id=cast.north.pk)
    job = job_of(own)
    client = signed_in("viewer", bound_to=cast.north)
    assert numbers(shown(client.get(f"{LIST}?q=depot"))) == {job.pk}


def test_a_number_finds_its_job(cast: Cast) -> None:
    job_of(cast.oslo)
    job = job_of(cast.oslo)
    assert numbers(shown(signed_in("viewer").get(f"{LIST}?q={job.pk}"))) == {job.pk}


def test_who_is_bound_to_an_organization_sees_its_subtree_and_nothing_above(cast: Cast) -> None:
    own, above, foreign = job_of(cast.oslo), job_of(cast.acme), job_of(cast.rival)
    client = signed_in("operator", bound_to=cast.north)
    page = shown(client.get(LIST))
    assert numbers(page) == {own.pk}
    assert "North › Oslo" in page
    assert "Acme" not in page
    for other in (above, foreign):
        for address in ("change/", "live/", "json/", "cancel/do/"):
            assert client.get(f"{LIST}{other.pk}/{address}").status_code == 404
        ask = {"confirmed": "1", "reason": "x"}
        assert client.post(f"{LIST}{other.pk}/cancel/do/", ask).status_code == 404
        client.post(LIST, ask | {"action": "cancel", "_selected_action": [other.pk]})
        other.refresh_from_db()
        assert other.status == "PENDING"
    assert f"job-{above.pk}-" not in client.get(f"{LIST}live/?ids={own.pk},{above.pk}").content.decode()


def test_a_viewer_is_refused_whatever_he_sends(cast: Cast) -> None:
    job = job_of(cast.oslo)
    client = signed_in("viewer")
    assert "cancel/do" not in shown(client.get(LIST))
    assert client.get(f"{LIST}{job.pk}/cancel/do/").status_code == 403
    assert client.post(f"{LIST}{job.pk}/cancel/do/", {"confirmed": "1", "reason": "x"}).status_code == 403
    client.post(LIST, {"action": "cancel", "_selected_action": [job.pk], "confirmed": "1", "reason": "x"})
    for nobody in ("add/", f"{job.pk}/delete/"):
        assert client.get(LIST + nobody).status_code == 403
    job.refresh_from_db()
    assert job.status == "PENDING"


def test_an_operation_keeps_its_person_and_the_reason(cast: Cast) -> None:
    job = job_of(cast.oslo)
    client = signed_in("operator", name="olga")
    address = f"{LIST}{job.pk}/cancel/do/"
    assert "Optional." in shown(client.get(address))
    client.post(address, {"confirmed": "1", "reason": "Too early"})
    entry = AuditEntry.objects.get(action="job.cancel")
    assert (entry.actor, entry.reason, entry.subject, entry.via) == (
        "user:olga", "Too early", f"job:{job.pk}", "admin",
    )  # fmt: skip


def test_a_bound_person_does_not_put_jobs_before_those_of_all_others(cast: Cast) -> None:
    job = job_of(cast.rome)
    address, form = f"{LIST}{job.pk}/priority/do/", {"confirmed": "1", "reason": "x", "priority": "11"}
    client = signed_in("operator", bound_to=cast.acme)
    assert "The highest priority that you may give is 10." in shown(client.post(address, form))
    client.post(address, form | {"priority": "10"})
    job.refresh_from_db()
    assert job.priority == 10


@pytest.mark.parametrize("priority", ["", "101", "high"])
def test_a_priority_that_is_none_is_refused_in_words(cast: Cast, priority: str) -> None:
    job = job_of(cast.oslo)
    client = signed_in("operator")
    page = shown(client.post(f"{LIST}{job.pk}/priority/do/", {"confirmed": "1", "reason": "x", "priority": priority}))
    assert 'class="errorlist"' in page
    job.refresh_from_db()
    assert job.priority == 0


@pytest.mark.parametrize("address", ["0/change/", "999999/change/", "x/change/", f"{10**30}/change/", "1/burn/do/"])
def test_what_is_not_there_is_404(client: Client, cast: Cast, address: str) -> None:
    job_of(cast.oslo)
    assert signed_in("admin").get(LIST + address).status_code == 404


def test_those_that_cannot_be_done_are_counted_with_the_reason() -> None:
    done = claimed()
    lifecycle.complete(job_id=done.pk, lease=lease_of(done))
    failed = claimed()
    lifecycle.fail(job_id=failed.pk, lease=lease_of(failed), error="no", permanent=True)
    stopped = waiting()
    job_operations.cancel(job_id=stopped.pk, by="bob")
    ids = [done.pk, failed.pk, stopped.pk, waiting().pk, 10**9]
    result = bulk.do_on_each(ids, OPERATIONS["retry"], by="olga", reason="x")
    assert result.count == 1
    assert dict(result.skipped) == {
        "had completed; there was nothing to retry": 1,
        "had been cancelled; the request must be sent again": 1,
        "were under way already": 1,
        "were gone": 1,
    }


def test_just_these_are_retried_from_the_latest_attempt_after_whatever_end(cast: Cast) -> None:
    first = claimed(failed=1, organization_id=cast.acme.pk)
    JobFailure.objects.create(job=first, organization_id=cast.oslo.pk, error="refused")
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no", permanent=True)
    client = signed_in("operator")
    assert "Retry the 1 organization that failed" in shown(client.get(f"{LIST}{first.pk}/change/"))
    searched = shown(client.get(f"{LIST}{first.pk}/change/?failed=oslo"))
    assert ("Retry the 1 organization that" in searched, "not only the results" in searched) == (False, True)
    asked = " ".join(shown(client.get(f"{LIST}{first.pk}/retry/do/")).split())
    assert "The retry covers only the 1 organization that the last attempt left." in asked
    client.post(f"{LIST}{first.pk}/retry/do/", {"confirmed": "1", "reason": "mended"})
    again = Job.objects.latest("id")
    assert again.only_behind
    claiming.claim(queue="default", worker="w")
    changed(again, failed=1)
    JobFailure.objects.create(job=again, organization_id=cast.oslo.pk, error="refused")
    again.refresh_from_db()
    lifecycle.complete(job_id=again.pk, lease=lease_of(again))
    assert "Retry the 1 organization that" not in shown(client.get(f"{LIST}{first.pk}/change/"))
    assert "Retry the 1 organization that failed" in shown(client.get(f"{LIST}{again.pk}/change/"))


def test_a_retry_covers_what_was_left_or_all_and_the_question_says_how_many(cast: Cast) -> None:
    cut_short = claimed(failed=2, processed=3, total=9, organization_id=cast.acme.pk)
    lifecycle.fail(job_id=cut_short.pk, lease=lease_of(cut_short), error="no", permanent=True)
    nothing_done = claimed(organization_id=cast.acme.pk)
    lifecycle.fail(job_id=nothing_done.pk, lease=lease_of(nothing_done), error="no", permanent=True)
    client = signed_in("operator")
    JobFailure.objects.create(job=cut_short, organization_id=cast.oslo.pk, error="refused")
    assert "Retry the 6 organizations that were left" in shown(client.get(f"{LIST}{cut_short.pk}/change/"))
    assert "the 6 organizations that" in shown(client.get(f"{LIST}{cut_short.pk}/retry/do/"))
    assert "The retry covers" not in shown(client.get(f"{LIST}{nothing_done.pk}/retry/do/"))


def test_a_finished_job_says_nothing_of_its_queues_pause(cast: Cast) -> None:
    waits, done = waiting(), claimed()
    lifecycle.complete(job_id=done.pk, lease=lease_of(done))
    queue_operations.pause("default", by="user:olga", reason="x")
    client = signed_in("viewer")
    said = [" is paused by user:olga" in shown(client.get(f"{LIST}{job.pk}/change/")) for job in (waits, done)]
    assert said == [True, False]


def test_questions_about_operations_are_sentences(cast: Cast) -> None:
    job = waiting()
    page = " ".join(shown(signed_in("operator").get(f"{LIST}{job.pk}/priority/do/")).split())
    assert f"<strong>Change the priority of</strong> job {job.pk}?" in page
    assert f">Change the priority of job {job.pk}</button>" in page


@pytest.mark.parametrize("state", ["PENDING", "IN_PROGRESS", "COMPLETED", "with failures", "FAILED", "CANCELLED"])
def test_a_row_has_the_buttons_whose_operations_are_not_refused(cast: Cast, state: str) -> None:
    """Of each attempt of a chain whose latest one stands so."""
    first = claimed(organization_id=cast.acme.pk)
    lifecycle.fail(job_id=first.pk, lease=lease_of(first), error="no")
    retry = changed(Job.objects.latest("id"), run_at=LONG_AGO)
    if state == "CANCELLED":
        job_operations.cancel(job_id=retry.pk, by="bob")
    elif state != "PENDING":
        retry = claiming.claim(queue="default", worker="w") or retry
        if state == "FAILED":
            lifecycle.fail(job_id=retry.pk, lease=lease_of(retry), error="no", permanent=True)
        elif state != "IN_PROGRESS":
            changed(retry, failed=int(state == "with failures"))
            lifecycle.complete(job_id=retry.pk, lease=lease_of(retry))
    page = shown(signed_in("operator").get(LIST))
    for job in (first, retry):
        for name, act in (("retry", job_operations.retry), ("cancel", job_operations.cancel)):
            with transaction.atomic():
                try:
                    act(job_id=job.pk, by="bob")
                    done = True
                except FlagsiteError:
                    done = False
                transaction.set_rollback(True)
            assert (f'id="{name}-{job.pk}"' in page) == done, (name, job.status)


def test_a_page_shows_counts_chain_failures_and_operations(cast: Cast) -> None:
    job = job_of(cast.acme, processed=9, failed=1, superseded=2, unchanged=3, error_message="1 of 10 <failed>")
    JobFailure.objects.create(job=job, organization_id=cast.oslo.pk, error="<row> refused")
    job_operations.set_priority(job_id=job.pk, priority=3, by="user:olga", reason="urgent")
    page = shown(signed_in("operator").get(f"{LIST}{job.pk}/change/"))
    for words in ("1 of 10 &lt;failed&gt;", "&lt;row&gt; refused", "Acme › North › Oslo", "urgent", "priority 3"):
        assert words in page
    figures = [part.partition("<")[0] for part in page.split('class="fs-figure">')[1:]]
    assert figures == ["4", "3", "2", "1"]
    found = shown(signed_in("operator", name="ole").get(f"{LIST}{job.pk}/change/?failed=bergen"))
    assert "&lt;row&gt; refused" not in found


def test_tracebacks_are_for_administrators(cast: Cast) -> None:
    job = job_of(cast.acme, error_traceback="Traceback: secret path", error_message="no")
    for group, seen in (("admin", True), ("operator", False)):
        client = signed_in(group, name=group)
        for address in ("change/", "json/"):
            assert ("secret path" in shown(client.get(f"{LIST}{job.pk}/{address}"))) == seen


def test_the_record_as_json_has_no_lease(cast: Cast) -> None:
    token = claimed().lease_token
    job = Job.objects.get(lease_token=token)
    assert str(token) not in shown(signed_in("admin").get(f"{LIST}{job.pk}/json/"))


def test_an_open_page_is_not_written_anew_while_nothing_has_changed(cast: Cast) -> None:
    job = job_of(cast.acme)
    client = signed_in("viewer")
    page = shown(client.get(f"{LIST}{job.pk}/change/"))
    version = page.partition('"version": "')[2].partition('"')[0]
    assert client.get(f"{LIST}{job.pk}/live/", {"version": version}).status_code == 204
    job_operations.set_priority(job_id=job.pk, priority=3, by="olga")
    assert "Chain" in shown(client.get(f"{LIST}{job.pk}/live/", {"version": version}))


def test_new_jobs_that_match_are_counted_for_who_looks(cast: Cast) -> None:
    newest = job_of(cast.oslo).pk
    client = signed_in("viewer", bound_to=cast.north)
    job_of(cast.bergen)
    job_of(cast.rome)
    probe_job.send_probe()

    def said(asked: str) -> str:
        return shown(client.get(f"{LIST}live/", {"ids": "", "newest": newest, "query": asked}))

    assert ">1 new job<" in said("")
    assert "new job<" not in said("below=oslo")
    assert "?below=bergen&amp;q=checkout" in said("below=bergen&q=checkout")
    assert "new-jobs" not in shown(client.get(f"{LIST}live/?ids="))


@pytest.mark.parametrize(
    ("status", "columns", "words"),
    [
        ("COMPLETED", {"total": 0, "arguments": {"featureFlagName": "checkout"}}, "nothing to do"),
        ("COMPLETED", {"total": 0}, "done"),
        ("FAILED", {}, "nothing done"),
        ("PENDING", {}, "not counted yet"),
        ("IN_PROGRESS", {"processed": 5}, "5 so far"),
        ("FAILED", {"total": 9}, "0 of 9"),
    ],
)
def test_a_bar_is_shown_where_there_is_something_to_measure(status: str, columns: dict[str, Any], words: str) -> None:
    job = by_hand(status, **columns)
    page = shown(signed_in("viewer").get(LIST))
    cell = page.partition(f'id="job-{job.pk}-progress"')[2].partition("</td>")[0]
    assert words in cell
    assert ("<progress" in cell) == (" of " in words or "so far" in words)


def test_what_came_of_a_job_is_told_in_words_that_fit_its_kind() -> None:
    tidy, bird = cleanup.request(by="user:olga"), probe_job.send_probe()
    assert bird is not None
    changed(tidy, checkpoint={"after": 9, "deleted": {"COMPLETED": 4, "schedules": 2}})
    client = signed_in("viewer")
    page = shown(client.get(f"{LIST}{tidy.pk}/change/"))
    assert [words in page for words in ("COMPLETED jobs deleted", "schedules deleted", "newer value")] == [
        True,
        True,
        False,
    ]
    assert ">Results</h2>" not in shown(client.get(f"{LIST}{bird.pk}/change/"))


def test_more_jobs_take_no_more_queries(cast: Cast, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    client = signed_in("operator")
    shown(client.get(LIST))
    for number in range(40):
        by_hand("FAILED", arguments={"featureFlagName": f"f{number}", "enabled": True}, round_attempt=number % 3)
    with django_assert_max_num_queries(16):
        page = shown(client.get(LIST))
    assert len(numbers(page)) == 40
    with django_assert_max_num_queries(12):
        client.get(f"{LIST}live/?ids={','.join(map(str, numbers(page)))}")
