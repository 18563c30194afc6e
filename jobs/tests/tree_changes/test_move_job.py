"""The move of a large subtree as a job: what is checked at once and again, interruptions, and later requests."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conftest import Cast
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.operations import job_operations
from jobs.tests.engine_steps import before_each, endings, make_due, statuses
from jobs.tests.tree_changes.large import started, work
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run as run_command
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import get, paths
from orgs.tree import tree_operations

BEFORE = {
    "acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome", "rival",
    "rival/rival_store",
}  # fmt: skip
BELOW_ROME = {"acme/south/rome/north", "acme/south/rome/north/oslo", "acme/south/rome/north/bergen"}


@pytest.fixture(autouse=True)
def every_subtree_is_large(settings: Any) -> None:
    settings.TREE_INLINE_ORGANIZATIONS = 2


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def move(api: Api, key: str, parent: str | None, **changes: str) -> Any:
    return api.patch(f"/organizations/{key}", {"parentId": parent, **changes})


def test_a_job_moves_a_large_subtree(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome", reason="a new map"))
    assert paths() == BEFORE
    work()
    assert paths() >= BELOW_ROME
    job.refresh_from_db()
    assert (job.status, job.processed, job.total, job.result) == ("COMPLETED", 3, 3, {"jobs": []})
    [entry] = AuditEntry.objects.filter(action="organization.move")
    assert (entry.actor, entry.via, entry.reason) == (job.requested_by, "api", "a new map")
    assert entry.details | {"changeNumber": 1} == {"before": cast.acme.pk, "after": cast.rome.pk, "changeNumber": 1}


def test_a_small_subtree_moves_at_once(api: Api, cast: Cast) -> None:
    assert move(api, "south", "north").status_code == 200
    assert not Job.objects.exists()


def test_a_move_to_where_it_is_needs_no_job(api: Api, cast: Cast) -> None:
    assert move(api, "north", f"id:{cast.acme.pk}").status_code == 200
    assert not Job.objects.exists()


def test_a_large_subtree_becomes_a_tree_of_its_own(api: Api, cast: Cast) -> None:
    started(move(api, "north", None))
    work()
    assert {"north", "north/oslo", "north/bergen"} <= paths()


def test_a_new_name_is_written_at_once(api: Api, cast: Cast) -> None:
    started(move(api, "north", "rome", name="Nord"))
    assert get("north").name == "Nord"


def test_a_circle_is_refused_at_once_and_again_by_the_job(api: Api, cast: Cast) -> None:
    assert kind_of(move(api, "north", "oslo")) == "move-under-own-descendant"
    assert not Job.objects.exists()
    job = started(move(api, "north", "rome"))
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.oslo.pk)
    work()
    assert statuses(job) == ["FAILED"]
    assert "acme/north/oslo/south/rome" in paths()


@pytest.mark.parametrize(("organization", "parent"), [("north", None), ("acme", "acme"), ("north", "rival")])
def test_what_leaves_the_scope_is_refused_at_once(acme_key: str, cast: Cast, organization: str, parent: str) -> None:
    assert move(Api(acme_key), organization, parent).status_code in {403, 404, 409}
    assert not Job.objects.exists()


def test_a_second_request_for_the_same_place_gets_the_same_job(api: Api, cast: Cast) -> None:
    first = started(move(api, "north", "rome"))
    assert started(move(api, "north", "rome")) == first


def test_the_latest_request_decides_where_the_organization_is(api: Api, cast: Cast) -> None:
    first, second = started(move(api, "north", "rome")), started(move(api, "north", "rival"))
    third = started(move(api, "north", "rome"))
    assert len({first.pk, second.pk, third.pk}) == 3
    while job := runner.run_next("default"):
        assert job.organization_id == cast.north.pk
    assert paths() >= BELOW_ROME
    assert AuditEntry.objects.filter(action="organization.move").count() == 1


def test_a_later_request_that_was_cancelled_does_not_count(api: Api, cast: Cast) -> None:
    started(move(api, "north", "rome"))
    job_operations.cancel(job_id=started(move(api, "north", "rival")).pk, by="alice")
    work()
    assert paths() >= BELOW_ROME


def test_a_move_that_is_cancelled_before_the_write_moves_nothing(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome"))

    def cancel(run: Run) -> None:
        job_operations.cancel(job_id=run.job.pk, by="bob")

    with before_each("reload", cancel):
        work()
    assert (statuses(job), paths()) == (["CANCELLED"], BEFORE)


def test_an_attempt_that_fails_moves_nothing_and_the_retry_moves_everything(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome"))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    with before_each("record_progress", fail):
        runner.run_next("default")
    assert paths() == BEFORE
    make_due()
    work()
    assert endings(job) == ["FAILED", "COMPLETED"]
    assert paths() >= BELOW_ROME


def test_an_attempt_whose_end_was_not_recorded_is_repeated_without_harm(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome"))

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    with before_each("set_result", fail):
        runner.run_next("default")
    make_due()
    work()
    assert endings(job) == ["FAILED", "COMPLETED"]
    assert paths() >= BELOW_ROME
    assert AuditEntry.objects.filter(action="organization.move").count() == 1


def test_a_requester_who_has_lost_the_right_moves_nothing(acme_key: str, cast: Cast) -> None:
    job = started(move(Api(acme_key), "north", "rome"))
    AccessKey.objects.update(role=Role.READER)
    work()
    job.refresh_from_db()
    assert (job.status, "may no longer request it" in (job.error_message or "")) == ("FAILED", True)
    assert paths() == BEFORE


def test_a_parent_that_has_left_the_scope_takes_nothing(acme_key: str, cast: Cast) -> None:
    job = started(move(Api(acme_key), "north", "rome"))
    tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.rival.pk)
    work()
    assert statuses(job) == ["FAILED"]
    assert "acme/north/oslo" in paths()


def test_a_parent_that_is_gone_takes_nothing(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome"))
    tree_operations.delete(organization_id=cast.rome.pk)
    work()
    job.refresh_from_db()
    assert (job.status, "new parent does not exist" in (job.error_message or "")) == ("FAILED", True)


def test_a_move_of_what_is_gone_has_nothing_left_to_do(api: Api, cast: Cast) -> None:
    job = started(move(api, "north", "rome"))
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    work()
    assert statuses(job) == ["COMPLETED"]


def test_the_command_starts_the_job(cast: Cast) -> None:
    said = run_command("move_organization", "north", "--parent", "rome", "--json").document
    assert Job.objects.get(pk=said["jobId"]).kind == "organization_move"
    work()
    assert paths() >= BELOW_ROME


def test_the_preview_of_the_admin_page_says_that_a_job_does_it_and_the_page_leads_to_the_job(cast: Cast) -> None:
    client = signed_in("admin")
    page, values = f"/admin/orgs/organization/{cast.north.pk}/move/do/", {"parent": "rome", "reason": "map"}
    preview = shown(client.post(page, values))
    assert "a job moves them" in preview
    values["shown"] = re.findall(r'name="shown" value="([^"]+)"', preview)[0]
    answer = client.post(page, values)
    assert answer["Location"] == f"/admin/jobs/job/{Job.objects.get().pk}/change/"
    work()
    assert paths() >= BELOW_ROME
