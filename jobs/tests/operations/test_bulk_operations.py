"""What a person does to all jobs that match: how many that is, that none comes in later, and that each is done once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from conftest import Cast
from jobs.engine import lifecycle, runner, stop_request
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import Status
from jobs.operations import bulk, bulk_job, job_operations
from jobs.operations.bulk import OPERATIONS, count_selection
from jobs.operations.models import BulkTarget
from jobs.tests.engine_steps import QUEUE, before_each, by_hand, changed, claimed, lease_of, make_due, statuses, waiting
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.people import person, shown, signed_in
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/job/"
OURS = f"{LIST}?by=alice"


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than two are many."""
    monkeypatch.setattr(bulk, "MAX_JOBS_IN_REQUEST", 2)


def ask(client: Client, action: str, first: Job, **confirmed: Any) -> Any:
    """What the list is sent when all that match are chosen."""
    return client.post(OURS, {"action": action, "select_across": "1", "_selected_action": [first.pk]} | confirmed)


def newest_in(page: str) -> str:
    """What the question says of the newest job that was there."""
    return page.partition('name="newest" value="')[2].partition('"')[0]


def begun(
    deed: str,
    *,
    by: str = "user:olga",
    reason: str = "x",
    priority: int | None = None,
    organization_id: int | None = None,
) -> Job:
    """A job that does it to all of alice's; olga, if she asks for it, is an operator."""
    if by == "user:olga" and not User.objects.filter(username="olga").exists():
        person("operator", name="olga")
    jobs = Job.objects.filter(requested_by="alice")
    chosen = count_selection(jobs, OPERATIONS[deed])
    return bulk_job.start(
        jobs, OPERATIONS[deed], chosen, by=by, reason=reason, priority=priority, organization_id=organization_id
    )


@contextmanager
def after_each(then: Callable[[], object]) -> Iterator[None]:
    """While it lasts, something happens whenever the deed was done to one of many."""

    def happen(run: Run, *, processed: int = 0, **_: Any) -> None:
        if processed:
            then()

    with before_each("record_progress", happen):
        try:
            yield
        finally:
            stop_request.withdraw()


def recorded(action: str) -> list[str]:
    """To what it was done, by the audit log."""
    return sorted(AuditEntry.objects.filter(action=action).values_list("subject", flat=True))


def test_all_that_matched_when_it_was_asked_are_done_by_a_job_and_none_that_came_later() -> None:
    jobs = [waiting() for _ in range(5)]
    job_operations.cancel(job_id=jobs[0].pk, by="bob")
    client = signed_in("operator", name="olga")
    question = shown(ask(client, "cancel", jobs[0]))
    for words in ("4 of 5 jobs", "1 will be skipped: it was CANCELLED already", "a job of its own"):
        assert words in question
    later = waiting()
    answer = ask(client, "cancel", jobs[0], confirmed="1", reason="Too early", newest=newest_in(question))
    job = Job.objects.get(kind=bulk_job.KIND)
    assert answer["Location"] == f"{LIST}{job.pk}/change/"
    assert runner.run_next(QUEUE) == job  # before all that waits
    assert [statuses(each) for each in jobs] == [["CANCELLED"]] * 5
    assert statuses(later) == ["PENDING"]
    page = shown(client.get(answer["Location"]))
    figures = [part.partition("<")[0] for part in page.split('class="fs-figure">')[1:]]
    assert figures == ["4", "1"]
    assert "Too early" in page
    entries = AuditEntry.objects.filter(action="job.cancel", actor="user:olga")
    assert set(entries.values_list("reason", "via", "address")) == {("Too early", "admin", "127.0.0.1")}
    assert entries.count() == 4
    assert AuditEntry.objects.get(action="jobs.bulk").details == {"deed": "cancel", "jobs": 4}


def test_few_are_done_at_once_and_the_others_counted_with_the_reason() -> None:
    jobs = [waiting() for _ in range(4)]
    for job in jobs[:2]:
        job_operations.cancel(job_id=job.pk, by="bob")
    client = signed_in("operator")
    ask(client, "change_priority", jobs[0], confirmed="1", reason="x", priority="7")
    page = shown(client.get(LIST))
    assert "2 jobs were given another priority." in page
    assert "2 skipped: they were CANCELLED already." in page
    assert list(Job.objects.order_by("pk").values_list("priority", flat=True)) == [0, 0, 7, 7]


def test_a_deed_asked_for_again_takes_those_that_are_left() -> None:
    jobs = [waiting() for _ in range(6)]
    begun("cancel")
    runner.run_next(QUEUE)
    assert count_selection(Job.objects.filter(requested_by="alice"), OPERATIONS["cancel"]).applicable == 0
    more = [waiting() for _ in range(3)]
    begun("cancel")
    runner.run_next(QUEUE)
    assert Job.objects.filter(status=Status.CANCELLED).count() == len(jobs + more)


def test_only_chains_that_ended_badly_are_retried_each_once() -> None:
    root = by_hand("FAILED", retry_count=1)
    again = by_hand("FAILED", parent_job=root, retry_count=1)
    mended = by_hand("COMPLETED", retry_count=1, ended_as="FAILED")
    by_hand("COMPLETED", parent_job=mended, retry_count=1)
    left_some = by_hand("COMPLETED", failed=3)
    by_hand("COMPLETED")
    by_hand("CANCELLED")
    by_hand("PENDING")
    chosen = count_selection(Job.objects.all(), OPERATIONS["retry"])
    assert set(bulk.one_of_each_chain(Job.objects.all(), OPERATIONS["retry"])) == {again.pk, left_some.pk}
    assert (chosen.matching, chosen.applicable) == (8, 2)
    assert chosen.skipped == {
        "were attempts of the same chains as others": 1,
        "had completed; there was nothing to retry": 3,
        "had been cancelled; the request must be sent again": 1,
        "were under way already": 1,
    }


def test_a_job_that_fails_in_the_middle_goes_on_where_it_was_and_does_nothing_twice() -> None:
    jobs = [changed(claimed(), priority=0) for _ in range(5)]
    for job in jobs:
        lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
    many = begun("retry", reason="again")
    number = itertools.count(1)

    def fail() -> None:
        if next(number) == 3:
            raise RuntimeError("killed")

    with after_each(fail):
        runner.run_next(QUEUE)
    assert len(recorded("job.retry")) == 2
    make_due()
    again = runner.run_next(QUEUE)
    assert again is not None
    assert again.parent_job_id == many.pk
    assert recorded("job.retry") == sorted(f"job:{job.pk}" for job in jobs)
    assert [len(statuses(job)) for job in jobs] == [2] * 5
    again.refresh_from_db()
    assert (again.processed, again.total, bulk_job.result_of(again).count) == (3, 3, 5)


def test_a_worker_that_loses_its_lease_does_nothing_more() -> None:
    jobs = [waiting() for _ in range(3)]
    many = begun("cancel")
    number = itertools.count(1)

    def lose_the_lease() -> None:
        if next(number) == 2:
            Job.objects.filter(pk=many.pk).update(lease_token="0" * 32)

    with after_each(lose_the_lease):
        runner.run_next(QUEUE)
    assert [statuses(job) for job in jobs] == [["CANCELLED"], ["PENDING"], ["PENDING"]]


def test_one_that_is_gone_or_was_changed_meanwhile_is_passed_over_with_the_reason() -> None:
    jobs = [waiting() for _ in range(3)]
    many = begun("cancel")
    job_operations.cancel(job_id=jobs[0].pk, by="bob")
    Job.objects.filter(pk=jobs[1].pk).delete()
    runner.run_next(QUEUE)
    many.refresh_from_db()
    done = bulk_job.result_of(many)
    assert (many.status, done.count) == ("COMPLETED", 1)
    assert done.skipped == {"were CANCELLED already": 1, "were gone": 1}
    assert BulkTarget.objects.filter(outcome="").count() == 0


def test_who_is_bound_to_an_organization_sees_the_job_that_does_it_for_them(cast: Cast) -> None:
    jobs = [changed(waiting(), organization_id=cast.oslo.pk) for _ in range(3)]
    foreign = changed(waiting(), organization_id=cast.rome.pk)
    client = signed_in("operator", bound_to=cast.north)
    answer = ask(client, "cancel", jobs[0], confirmed="1", reason="x")
    shown(client.get(answer["Location"]))
    runner.run_next(QUEUE)
    assert [statuses(job) for job in [*jobs, foreign]] == [["CANCELLED"]] * 3 + [["PENDING"]]


def test_one_that_is_cancelled_ends_before_the_next_job() -> None:
    jobs = [waiting() for _ in range(3)]
    many = begun("cancel")
    with after_each(lambda: job_operations.cancel(job_id=many.pk, by="bob")):
        runner.run_next(QUEUE)
    assert statuses(many) == ["CANCELLED"]
    assert [statuses(job) for job in jobs] == [["CANCELLED"], ["PENDING"], ["PENDING"]]


def test_one_whose_worker_stops_is_handed_back_before_the_next_job_and_its_total_stays() -> None:
    jobs = [waiting() for _ in range(3)]
    many = begun("cancel")
    with after_each(stop_request.request_stop):
        runner.run_next(QUEUE)
    assert statuses(many) == ["PENDING"]
    assert [statuses(job) for job in jobs] == [["CANCELLED"], ["PENDING"], ["PENDING"]]
    totals: list[int | None] = []
    with after_each(lambda: totals.append(Job.objects.get(pk=many.pk).total)):
        runner.run_next(QUEUE)
    assert totals == [3, 3]
    assert [statuses(job) for job in [many, *jobs]] == [["COMPLETED"]] + [["CANCELLED"]] * 3


# --- whose rights count -----------------------------------------------------------------------------------------------
def test_one_that_waited_does_nothing_once_its_access_key_is_revoked() -> None:
    jobs = [waiting() for _ in range(3)]
    key, _ = access_keys.create(name="ops", role=Role.OPERATOR)
    many = begun("cancel", by=f"key:{key.prefix} ops")
    access_keys.revoke(prefix=key.prefix)
    runner.run_next(QUEUE)
    many.refresh_from_db()
    assert (many.status, many.error_message) == (
        "FAILED",
        (
            f"key:{key.prefix} ops has requested this and may no longer request it: the access key has been revoked. "
            "Somebody who may do the operation can request it again."
        ),
    )
    assert [statuses(job) for job in jobs] == [["PENDING"]] * 3
    assert statuses(many) == ["FAILED"]  # no retry follows


def test_one_that_waited_does_nothing_once_its_person_has_another_role() -> None:
    jobs = [waiting() for _ in range(3)]
    many = begun("cancel")
    olga = User.objects.get(username="olga")
    olga.groups.set(Group.objects.filter(name="viewer"))
    runner.run_next(QUEUE)
    many.refresh_from_db()
    assert (many.status, "the role is reader by now" in many.error_message) == ("FAILED", True)
    assert [statuses(job) for job in jobs] == [["PENDING"]] * 3


def test_one_passes_over_jobs_whose_organization_has_moved_to_another_customer(cast: Cast) -> None:
    ours, moved = (changed(waiting(), organization_id=one.pk) for one in (cast.bergen, cast.oslo))
    person("operator", bound_to=cast.north, name="nora")
    many = begun("cancel", by="user:nora", organization_id=cast.north.pk)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    runner.run_next(QUEUE)
    many.refresh_from_db()
    assert (statuses(ours), statuses(moved), many.status) == (["CANCELLED"], ["PENDING"], "COMPLETED")
    assert bulk_job.result_of(many).skipped == {"were outside of the subtree by now": 1}
