"""An undo of a move brings the organization back below its former parent, by a move of its own."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.models import FlagState, FormerPlacement
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.tree_changes.large import work
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import import_rows
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def set_(organization: Organization, enabled: bool, below: Below = Below.KEEP) -> None:
    set_flag(organization_id=organization.pk, flag_key="checkout", enabled=enabled, below=below)
    run_jobs()


def move(organization: Organization, parent: Organization | None) -> int:
    """Move the organization, and return the number of the change, which the audit log tells."""
    tree_operations.move(organization_id=organization.pk, parent_id=parent.pk if parent else None)
    run_jobs()
    return int(AuditEntry.objects.filter(action="organization.move").latest("id").details["changeNumber"])


def parent_of(organization: Organization) -> int | None:
    return Organization.objects.get(pk=organization.pk).parent_id


def values() -> dict[str, bool]:
    rows = FlagState.objects.filter(enabled__isnull=False)
    return dict(rows.values_list("organization__key", "enabled"))


def undo(api: Api, number: int, **more: Any) -> Any:
    answer = api.post(f"/v1/changes/{number}/undo", {"reason": "the wrong region", **more})
    run_jobs()
    return answer


def test_the_organization_is_below_its_former_parent_again_with_the_values_of_that_place(api: Api, cast: Cast) -> None:
    set_(cast.south, True, Below.LOCK)
    set_(cast.oslo, False)
    before = values()
    number = move(cast.north, cast.south)
    assert values() != before
    answer = undo(api, number).json()
    assert (answer["kind"], answer["organizationId"], answer["featureFlag"]) == ("move", cast.north.pk, None)
    assert (answer["restored"], answer["leftAloneCount"]) == (1, 0)
    assert (parent_of(cast.north), values()) == (cast.acme.pk, before)
    entry = AuditEntry.objects.filter(action="organization.move").latest("id")
    assert (entry.reason, entry.details["changeNumber"]) == (
        f"the wrong region; undo of change {number}",
        answer["changeNumber"],
    )


def test_an_undo_of_a_move_can_be_undone_and_moves_are_undone_one_after_the_other(api: Api, cast: Cast) -> None:
    first, second = move(cast.oslo, cast.south), move(cast.oslo, None)
    undone = undo(api, second).json()["changeNumber"]
    assert parent_of(cast.oslo) == cast.south.pk
    undo(api, undone)
    assert parent_of(cast.oslo) is None
    undo(api, second)
    undo(api, first)
    assert parent_of(cast.oslo) == cast.north.pk


def test_an_organization_that_was_moved_since_stays(api: Api, cast: Cast) -> None:
    number = move(cast.oslo, cast.south)
    move(cast.oslo, cast.acme)
    for path in ("undo", "undo/plan"):
        answer = api.post(f"/v1/changes/{number}/{path}")
        assert (answer.status_code, kind_of(answer)) == (409, "change-not-undoable")
        assert "was moved since" in answer.json()["detail"]
    assert parent_of(cast.oslo) == cast.acme.pk


def test_without_its_former_parent_it_stays(api: Api, cast: Cast) -> None:
    number = move(cast.rome, cast.north)
    tree_operations.delete(organization_id=cast.south.pk)
    answer = undo(api, number)
    assert (answer.status_code, kind_of(answer)) == (409, "change-not-undoable")
    assert "The former parent is gone" in answer.json()["detail"]


def test_below_what_is_now_below_it_no_organization_goes_back(api: Api, cast: Cast) -> None:
    number = move(cast.north, None)
    move(cast.acme, cast.north)
    assert kind_of(undo(api, number)) == "move-under-own-descendant"


def test_the_rights_are_those_of_a_move(api: Api, cast: Cast) -> None:
    number = move(cast.oslo, cast.south)

    def key(role: Role, top: Organization | None = None) -> Api:
        return Api(AccessKey.objects.create_key(name="k", role=role, organization=top)[1])

    for path in ("undo", "undo/plan"):
        assert kind_of(key(Role.EDITOR).post(f"/v1/changes/{number}/{path}")) == "not-permitted"
        assert kind_of(key(Role.ADMIN, cast.rival).post(f"/v1/changes/{number}/{path}")) == "change-not-found"
        south = key(Role.ADMIN, cast.south).post(f"/v1/changes/{number}/{path}")
        assert kind_of(south) == "change-not-undoable", "the former parent is outside of its subtree"
        assert "North" not in south.content.decode()
    assert key(Role.ADMIN, cast.acme).post(f"/v1/changes/{number}/undo").status_code == 200
    assert parent_of(cast.oslo) == cast.north.pk


def test_what_is_no_single_move_is_refused_in_words(api: Api, cast: Cast) -> None:
    import_rows(*(f"{one.key},{one.name},{cast.south.key}" for one in (cast.oslo, cast.bergen)))
    tree_operations.rename(organization_id=cast.rome.pk, name="Roma")
    tree_operations.delete(organization_id=cast.rival_store.pk)
    details = {}
    for placement in FormerPlacement.objects.all():
        answer = undo(api, placement.replaced_by)
        assert kind_of(answer) == "change-not-undoable"
        details[placement.kind] = answer.json()["detail"]
    assert "An import has moved several" in details["move"]
    assert details["rename"] == details["delete"]
    bound = Api(AccessKey.objects.create_key(name="b", role=Role.ADMIN, organization=cast.rival)[1])
    for placement in FormerPlacement.objects.all():
        assert kind_of(bound.post(f"/v1/changes/{placement.replaced_by}/undo")) == "change-not-found"


def test_a_large_move_is_undone_by_a_job(api: Api, cast: Cast, settings: Any) -> None:
    number = move(cast.north, cast.south)
    settings.TREE_INLINE_ORGANIZATIONS = 2
    answer = undo(api, number)
    assert (answer.status_code, answer.json()["changeNumber"]) == (202, None)
    assert Job.objects.get(pk=answer.json()["jobId"]).kind == "organization_move"
    work()
    assert parent_of(cast.north) == cast.acme.pk
    entry = AuditEntry.objects.filter(action="organization.move").latest("id")
    assert (entry.reason, "changeNumber" in entry.details) == (f"the wrong region; undo of change {number}", True)


def test_the_plan_counts_what_the_move_back_changes_and_the_undo_takes_its_hash(api: Api, cast: Cast) -> None:
    set_(cast.south, True)
    number = move(cast.north, cast.south)
    plan = api.post(f"/v1/changes/{number}/undo/plan").json()
    assert (plan["organizations"], plan["changed"]) == (3, 3)
    place = {"organizationId": cast.north.pk, "field": None, "before": cast.south.pk, "after": cast.acme.pk}
    assert plan["restores"] == [place]
    assert kind_of(undo(api, number, atMost=2)) == "blast-radius"
    set_(cast.oslo, False)
    assert kind_of(undo(api, number, planHash=plan["planHash"])) == "plan-stale"
    fresh = api.post(f"/v1/changes/{number}/undo/plan").json()
    assert fresh["changed"] == 2
    assert undo(api, number, planHash=fresh["planHash"]).status_code == 200


def test_the_page_and_the_command_undo_a_move(api: Api, cast: Cast) -> None:
    number = move(cast.oslo, cast.south)
    address = f"/admin/flags/flag/undo/{number}/"
    entry = AuditEntry.objects.filter(action="organization.move").latest("id")
    client = signed_in("admin")
    assert address in client.get(f"/admin/orgs/auditentry/{entry.pk}/change/").content.decode()
    operator = signed_in("operator", name="olga")
    assert address not in operator.get(f"/admin/orgs/auditentry/{entry.pk}/change/").content.decode()
    assert operator.get(address).status_code == 403
    page = client.get(address)
    assert "Acme › North" in shown(page)
    fields = {"reason": "x", "plan_hash": page.context["plan"].effect.hash}
    assert client.post(address, fields)["Location"] == f"/admin/orgs/organization/{cast.oslo.pk}/change/"
    assert parent_of(cast.oslo) == cast.north.pk
    again = move(cast.oslo, cast.south)
    assert f"organization {cast.oslo.pk}: {cast.south.pk} → {cast.north.pk}" in run("undo", again, "--plan").out
    assert f"Change {again} is undone: 1 place restored." in run("undo", again).out
