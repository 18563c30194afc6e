"""The deletion of a large subtree as a job: its steps, what others do meanwhile, interruptions, and its requester."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from conftest import Cast
from jobs.engine import runner, stop_request
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.operations import job_operations
from jobs.tests.engine_steps import before_each, endings, make_due, statuses
from jobs.tests.tree_changes.large import after_step, in_steps_of, started, work
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run as run_command
from orgs.tests.people import person, shown, signed_in
from orgs.tests.trees import get, paths
from orgs.tree import tree_operations
from orgs.tree.models import Organization

RIVALS = {"rival", "rival/rival_store"}


@pytest.fixture(autouse=True)
def every_subtree_is_large(settings: Any) -> None:
    settings.TREE_INLINE_ORGANIZATIONS = 2


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def delete(api: Api, key: str, **headers: str) -> Any:
    return api.delete(f"/organizations/{key}?subtree=true", **headers)


def delete_entries() -> list[Any]:
    return list(AuditEntry.objects.filter(action="organization.delete").order_by("id"))


@pytest.mark.parametrize("most", [1, 2, 4, 100])
def test_a_job_deletes_a_large_subtree_with_all_that_belongs_to_it(api: Api, cast: Cast, most: int) -> None:
    _, secret = AccessKey.objects.create_key(name="store", role=Role.READER, organization=cast.bergen)
    with in_steps_of(most):
        job = started(delete(api, "north"))
        assert paths() == {"acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south",
                           "acme/south/rome", *RIVALS}  # fmt: skip
        work()
    assert paths() == {"acme", "acme/south", "acme/south/rome", *RIVALS}
    assert [get(key).descendant_count for key in ("acme", "south", "rome")] == [2, 1, 0]
    job.refresh_from_db()
    assert (job.status, job.processed, job.total, job.failed) == ("COMPLETED", 3, 3, 0)
    assert Api(secret).get("/organizations").status_code == 401


def test_a_small_subtree_is_deleted_at_once(api: Api, cast: Cast) -> None:
    assert delete(api, "south").status_code == 204
    assert not Job.objects.exists()


def test_a_whole_tree_is_deleted(api: Api, cast: Cast) -> None:
    with in_steps_of(1):
        started(delete(api, "acme"))
        work()
    assert paths() == RIVALS


def test_the_tree_is_sound_after_every_step_and_each_step_tells_the_progress(api: Api, cast: Cast) -> None:
    seen: list[tuple[int, int, int]] = []

    def look(run: Run) -> None:
        paths()
        job = Job.objects.get(pk=run.job.pk)
        seen.append((job.processed, job.total or 0, get("acme").descendant_count))

    with in_steps_of(1), before_each("check", look):
        started(delete(api, "north"))
        work()
    assert list(dict.fromkeys(seen)) == [(0, 3, 5), (1, 3, 4), (2, 3, 3)]


def test_without_subtree_an_organization_with_children_is_refused_at_once(api: Api, cast: Cast) -> None:
    assert kind_of(api.delete("/organizations/north")) == "organization-has-children"
    assert not Job.objects.exists()


@pytest.mark.parametrize("bound_to", ["north", "oslo"])
def test_people_bound_to_the_subtree_refuse_the_deletion_at_once(api: Api, cast: Cast, bound_to: str) -> None:
    person("viewer", bound_to=getattr(cast, bound_to))
    assert kind_of(delete(api, "north")) == "organization-has-staff"
    assert not Job.objects.exists()


def test_nobody_deletes_the_top_of_the_own_scope(acme_key: str, cast: Cast) -> None:
    assert kind_of(delete(Api(acme_key), "acme")) == "outside-of-your-subtree"
    assert not Job.objects.exists()


def test_a_second_deletion_gets_the_same_job_until_it_has_ended(api: Api, cast: Cast) -> None:
    first = started(delete(api, "north"))
    assert started(delete(api, "north")) == first
    assert started(delete(api, "acme")) != first
    work()
    assert delete(api, "north").status_code == 404


def test_a_bound_requester_sees_the_job_until_after_the_organization_is_gone(acme_key: str, cast: Cast) -> None:
    api = Api(acme_key)
    job = started(delete(api, "north"))
    work()
    assert api.get(f"/job-status/{job.pk}").json()["status"] == "COMPLETED"
    assert Organization.objects.filter(key="acme").exists()


def test_one_audit_entry_says_who_deleted_how_many_and_why(api: Api, cast: Cast) -> None:
    with in_steps_of(1):
        job = started(delete(api, "north", X_Reason="sold"))
        assert delete_entries() == []
        work()
    [entry] = delete_entries()
    assert (entry.actor, entry.via, entry.reason) == (job.requested_by, "api", "sold")
    assert (entry.organization_id, entry.subject) == (cast.north.pk, "organization:north")
    assert entry.details == {"name": "North", "organizations": 3, "jobId": job.pk, "status": "COMPLETED"}


def test_what_others_create_below_meanwhile_is_deleted_and_what_they_move_away_stays(api: Api, cast: Cast) -> None:
    def change() -> None:
        tree_operations.create(name="Late", key="late", parent_id=cast.north.pk)
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rome.pk)

    started(delete(api, "north"))
    with after_step(1, change):
        work()
    assert paths() == {"acme", "acme/south", "acme/south/rome", "acme/south/rome/oslo", *RIVALS}


def test_a_cancelled_deletion_leaves_the_rest(api: Api, cast: Cast) -> None:
    job = started(delete(api, "north"))

    def cancel() -> None:
        job_operations.cancel(job_id=job.pk, by="bob")

    with after_step(1, cancel):
        work()
    assert statuses(job) == ["CANCELLED"]
    assert "acme/north/oslo" in paths()
    assert "acme/north/bergen" not in paths()
    [entry] = delete_entries()
    assert (entry.details["organizations"], entry.details["status"]) == (1, "CANCELLED")
    assert delete(api, "north").status_code == 204  # what is left is little
    assert "acme/north" not in paths()


def test_a_deletion_that_is_cancelled_before_it_starts_changes_nothing(api: Api, cast: Cast) -> None:
    job = started(delete(api, "north"))
    before = paths()
    job_operations.cancel(job_id=job.pk, by="bob")
    work()
    assert (statuses(job), paths(), delete_entries()) == (["CANCELLED"], before, [])


def test_a_retry_goes_on_with_what_is_left(api: Api, cast: Cast) -> None:
    job = started(delete(api, "acme"))

    def fail() -> None:
        raise RuntimeError("a bug")

    with after_step(2, fail):
        runner.run_next("default")
    assert len(paths()) == 2 + 4
    make_due()
    work()
    assert endings(job) == ["FAILED", "COMPLETED"]
    assert paths() == RIVALS
    [entry] = delete_entries()
    assert entry.details["organizations"] == 6


def test_a_worker_that_has_to_stop_hands_the_rest_to_another(api: Api, cast: Cast) -> None:
    job = started(delete(api, "acme"))
    try:
        with after_step(2, stop_request.request_stop):
            runner.run_next("default")
    finally:
        stop_request.withdraw()
    assert statuses(job) == ["PENDING"]
    work()
    job.refresh_from_db()
    assert (job.status, job.processed, job.total) == ("COMPLETED", 6, 6)


def test_a_worker_that_has_lost_its_lease_deletes_nothing_more(api: Api, cast: Cast) -> None:
    job = started(delete(api, "north"))

    def lose() -> None:
        Job.objects.filter(pk=job.pk).update(lease_token="00000000-0000-0000-0000-000000000001", run_at=Now())

    with after_step(1, lose):
        runner.run_next("default")
    assert {"acme/north", "acme/north/oslo"} <= paths()


def test_a_requester_who_loses_the_right_meanwhile_deletes_nothing_more(acme_key: str, cast: Cast) -> None:
    job = started(delete(Api(acme_key), "north"))

    def demote() -> None:
        AccessKey.objects.update(role=Role.READER)

    with after_step(1, demote):
        work()
    job.refresh_from_db()
    assert job.status == "FAILED"
    assert "may no longer request it" in (job.error_message or "")
    assert "acme/north/oslo" in paths()


def test_an_organization_that_left_the_scope_meanwhile_is_not_deleted(acme_key: str, cast: Cast) -> None:
    job = started(delete(Api(acme_key), "north"))
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    work()
    assert statuses(job) == ["FAILED"]
    assert "rival/north/oslo" in paths()


def test_a_person_bound_to_the_rest_meanwhile_ends_the_deletion(api: Api, cast: Cast) -> None:
    job = started(delete(api, "north"))
    with after_step(1, lambda: person("viewer", bound_to=get("oslo"))):
        work()
    job.refresh_from_db()
    assert (job.status, "1 person is bound" in (job.error_message or "")) == ("FAILED", True)
    StaffScope.objects.all().delete()
    job_operations.retry(job_id=job.pk, by="alice")
    work()
    assert paths() == {"acme", "acme/south", "acme/south/rome", *RIVALS}


def test_a_deletion_of_what_is_gone_has_nothing_left_to_do(api: Api, cast: Cast) -> None:
    job = started(delete(api, "north"))
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    work()
    job.refresh_from_db()
    assert (job.status, job.error_message) == (
        "COMPLETED", "The organization is deleted already, so nothing is left to do.",
    )  # fmt: skip


def test_the_command_starts_the_job_and_says_how_to_follow_it(cast: Cast) -> None:
    said = run_command("delete_organization", "north", "--subtree", "--reason", "sold", "--json")
    job = Job.objects.get(pk=said.document["jobId"])
    assert said.document == {"organizationId": cast.north.pk, "organizationKey": "north", "jobId": job.pk}
    assert f"bin/manage job {job.pk} --follow" in run_command("delete_organization", "north", "--subtree").out
    work()
    assert "acme/north" not in paths()


def test_the_admin_page_says_that_a_job_does_it_and_leads_to_the_job(cast: Cast) -> None:
    client: Client = signed_in("admin")
    page = f"/admin/orgs/organization/{cast.north.pk}/delete/do/"
    assert "a job deletes them step by step" in shown(client.get(page))
    answer = client.post(page, {"key": "north", "reason": "sold"})
    job = Job.objects.get()
    assert answer["Location"] == f"/admin/jobs/job/{job.pk}/change/"
    assert f"Job {job.pk} does this." in shown(client.get(answer["Location"]))
    work()
    assert "acme/north" not in paths()
    small = f"/admin/orgs/organization/{cast.rival_store.pk}/delete/do/"
    assert "a job deletes them" not in shown(client.get(small))


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
def test_organizations_that_lose_a_part_of_what_is_below_them_count_the_rest(cast: Cast, most: int) -> None:
    get("acme").delete_last(most)
    kept = ["acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome"][:-most]
    assert paths() == {*kept, *RIVALS}
