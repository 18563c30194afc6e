"""Plans of moves, and moves that keep the values: /organizations/{organization} and its /plan."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast, _key
from flags.models import FlagSetting, FlagState
from flags.states.exemptions import exempt_on
from flags.states.set_flag import find_and_hold, set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def put(
    organization: Organization, value: bool, below: Below = Below.KEEP, flag: str = "checkout", **more: Any
) -> None:
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=value, below=below, **more)
    run_all()


def run_all() -> None:
    while any(runner.run_next(queue) for queue in ("propagation", "default")):
        pass


def plan(api: Api, organization: Organization, parent: Organization | None, **more: Any) -> Any:
    return api.post(f"/organizations/{organization.pk}/plan", {"parentId": parent.pk if parent else None, **more})


def move(api: Api, organization: Organization, parent: Organization | None, **more: Any) -> Any:
    answer = api.patch(f"/organizations/{organization.pk}", {"parentId": parent.pk if parent else None, **more})
    run_all()
    return answer


def value(organization: Organization, flag: str = "checkout") -> bool | None:
    return FlagState.objects.filter(organization=organization, flag__key=flag).values_list("enabled", flat=True).first()


def other_root() -> Organization:
    return tree_operations.create(name="Globex", key="globex-2")


def test_the_plan_of_a_move_says_which_values_change_and_writes_nothing(api: Api, cast: Cast) -> None:
    put(cast.north, True)
    put(cast.oslo, True)
    there = other_root()
    settings = list(FlagSetting.objects.order_by("pk").values())
    answer = plan(api, cast.north, there)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["organizations"], body["changed"], body["flagsAffected"]) == (3, 0, 0)
    body = plan(api, cast.bergen, there).json()
    assert (body["organizations"], body["changed"], body["unchanged"]) == (1, 1, 0)
    (flag,) = body["flags"]
    assert (flag["featureFlag"], flag["changed"], flag["materialised"]) == ("checkout", 1, None)
    assert flag["samples"] == [
        {"organizationId": cast.bergen.pk, "path": ["Acme", "North", "Bergen"], "organizations": 1,
         "before": True, "after": None, "beforeVariant": "on", "afterVariant": None,
         "beforeValue": "true", "afterValue": None},
    ]  # fmt: skip
    assert list(FlagSetting.objects.order_by("pk").values()) == settings
    assert Organization.objects.get(pk=cast.bergen.pk).parent_id == cast.north.pk


def test_a_plan_names_the_locks_gained_and_lost_to_those_who_may_see_them(api: Api, cast: Cast) -> None:
    put(cast.acme, False, Below.LOCK)
    there = other_root()
    put(there, True, Below.LOCK, "search")
    body = plan(api, cast.north, there).json()
    assert body["locksLost"] == [{"featureFlag": "checkout", "organizationId": cast.acme.pk}]
    assert body["locksGained"] == [{"featureFlag": "search", "organizationId": there.pk}]
    below = tree_operations.create(name="Below", key="below-oslo", parent_id=cast.oslo.pk)
    with find_and_hold(cast.oslo.pk) as held:
        exempt_on(held, flag_key="checkout", may_lift=lambda _: True)
    run_all()
    bound = Api(_key("bound", Role.ADMIN, cast.north))
    assert plan(bound, below, there).status_code == 404
    hidden = plan(bound, below, cast.bergen).json()
    assert (hidden["locksLost"], hidden["locksGained"]) == ([], [{"featureFlag": "checkout", "organizationId": None}])
    assert plan(api, below, cast.bergen).json()["locksGained"][0]["organizationId"] == cast.acme.pk


def test_a_move_that_keeps_the_values_changes_no_value_of_the_tenant(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    put(there, False)
    planned = plan(api, cast.north, there, materialise=True).json()
    assert (planned["changed"], planned["flags"][0]["materialised"]) == (
        0, {"featureFlag": "checkout", "value": True, "counts": True},
    )  # fmt: skip
    assert plan(api, cast.north, there).json()["changed"] == 3
    moved = move(api, cast.north, there, materialise=True)
    assert moved.json()["materialised"] == [{"featureFlag": "checkout", "value": True, "counts": True}]
    assert {value(each) for each in (cast.north, cast.oslo, cast.bergen)} == {True}
    state = FlagState.objects.get(organization=cast.oslo)
    assert state.source_id == cast.north.pk
    entry = AuditEntry.objects.get(action="organization.move")
    assert entry.details["valuesKept"] == 1
    put(there, False, Below.OVERWRITE)
    assert value(cast.oslo) is False


def test_a_kept_value_may_be_the_default_of_the_flag(api: Api, cast: Cast) -> None:
    there = other_root()
    put(there, True)
    assert move(api, cast.north, there, materialise=True).json()["materialised"][0]["value"] is False
    assert value(cast.oslo) is False


def test_a_lock_at_the_new_place_decides_and_the_kept_value_counts_when_it_is_gone(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    put(there, False, Below.LOCK)
    planned = plan(api, cast.north, there, materialise=True).json()
    assert (planned["changed"], planned["flags"][0]["materialised"]["counts"]) == (3, False)
    assert move(api, cast.north, there, materialise=True).json()["materialised"][0]["counts"] is False
    assert value(cast.oslo) is False
    api.delete(f"/v1/organizations/{there.pk}/flags/checkout")
    run_all()
    assert value(cast.oslo) is True


def test_an_own_lock_stays_a_lock_when_the_value_of_the_lock_above_is_kept(api: Api, cast: Cast) -> None:
    put(cast.oslo, True)
    put(cast.north, True, Below.LOCK)
    put(cast.acme, False, Below.LOCK)
    there = other_root()
    move(api, cast.north, there, materialise=True)
    setting = FlagSetting.objects.get(organization=cast.north)
    assert (setting.kind, setting.enabled, value(cast.oslo)) == ("lock", False, False)


def test_a_large_move_keeps_the_values_in_its_job(api: Api, cast: Cast, settings: Any) -> None:
    put(cast.acme, True)
    there = other_root()
    put(there, False)
    settings.TREE_INLINE_ORGANIZATIONS = 1
    answer = move(api, cast.north, there, materialise=True)
    assert answer.status_code == 202
    job = api.get(f"/job-status/{answer.json()['jobId']}").json()
    assert (job["status"], job["result"]["kept"]) == ("COMPLETED", ["checkout"])
    assert (Organization.objects.get(pk=cast.north.pk).parent_id, value(cast.oslo)) == (there.pk, True)


def test_a_move_with_the_hash_of_its_plan_is_refused_if_something_has_changed_since(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    known = plan(api, cast.north, there).json()["planHash"]
    put(cast.oslo, False)
    refused = move(api, cast.north, there, planHash=known)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/plan-stale")
    assert f"checkout: The setting of the organization {cast.oslo.pk} was changed" in refused.json()["detail"]
    put(there, False)
    stale = move(api, cast.north, there, planHash=plan(api, cast.north, cast.acme).json()["planHash"])
    assert stale.json()["type"] == "/problems/plan-stale"
    assert move(api, cast.north, there, planHash=plan(api, cast.north, there).json()["planHash"]).status_code == 200


def test_a_change_elsewhere_does_not_make_the_plan_of_a_move_stale(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    known = plan(api, cast.oslo, there).json()["planHash"]
    put(cast.bergen, False)
    assert move(api, cast.oslo, there, planHash=known).status_code == 200


def test_a_move_that_changes_more_organizations_than_allowed_is_refused(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    refused = move(api, cast.north, there, atMost=2)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/blast-radius")
    assert move(api, cast.north, there, atMost=3).status_code == 200


def test_a_large_move_checks_the_plan_before_its_job_and_again_in_it(api: Api, cast: Cast, settings: Any) -> None:
    put(cast.acme, True)
    there = other_root()
    settings.TREE_INLINE_ORGANIZATIONS = 1
    known = plan(api, cast.north, there).json()["planHash"]
    assert move(api, cast.north, there, planHash="1-2-3-x").status_code == 409
    answer = api.patch(f"/organizations/{cast.north.pk}", {"parentId": there.pk, "planHash": known})
    put(cast.oslo, False)
    job = api.get(f"/job-status/{answer.json()['jobId']}").json()
    assert (job["status"], Organization.objects.get(pk=cast.north.pk).parent_id) == ("FAILED", cast.acme.pk)
    assert "The plan is out of date." in job["errorMessage"]


def test_a_job_that_has_moved_already_may_try_again_with_the_same_plan(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    options = MoveOptions(plan_hash=plan(api, cast.north, there).json()["planHash"], at_most=3)
    for _ in range(2):
        moved = tree_operations.move(organization_id=cast.north.pk, parent_id=there.pk, options=options)
        assert moved.parent_id == there.pk


def test_the_words_of_a_move_need_a_new_parent(api: Api, cast: Cast) -> None:
    refused = api.patch(f"/organizations/{cast.north.pk}", {"name": "N", "materialise": True})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "materialise")


def test_a_plan_refuses_what_the_move_refuses(api: Api, cast: Cast) -> None:
    answer = plan(api, cast.north, cast.oslo)
    assert answer.json()["type"] == move(api, cast.north, cast.oslo).json()["type"]


def test_the_command_plans_a_move_and_keeps_the_values(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    put(there, False, Below.LOCK, "search")
    arguments = ("move_organization", "north", "--parent", there.key, "--materialise")
    planned = run(*arguments, "--plan")
    assert "3 organizations move below Globex (globex-2)." in planned.out
    assert "North keeps checkout on as a setting of its own." in planned.out
    assert "A lock of search by Globex (globex-2) decides there." in planned.out
    assert "Nothing was written." in planned.out
    assert run(*arguments, "--plan", "--json").document["locksGained"][0]["organizationId"] == there.pk
    assert "allows 0" in run(*arguments[:-1], "--at-most", "0").error
    moved = run(*arguments, "--json").document
    assert moved["materialised"] == [{"featureFlag": "checkout", "value": True, "counts": True}]


def test_the_page_of_a_move_shows_its_plan_and_keeps_the_values(cast: Cast) -> None:
    put(cast.acme, True)
    there = other_root()
    put(there, False, Below.LOCK)
    client, address = signed_in("admin"), f"/admin/orgs/organization/{cast.north.pk}/move/do/"
    fields = {"parent": there.key, "materialise": "on"}
    page = shown(client.post(address, fields))
    assert "3 organizations get another stored value of checkout." in page
    assert "North keeps checkout on as a setting of its own, which counts when the lock there is gone." in page
    fingerprint = page.split('name="shown" value="')[1].split('"')[0]
    assert Organization.objects.get(pk=cast.north.pk).parent_id == cast.acme.pk
    client.post(address, {**fields, "shown": fingerprint})
    run_all()
    assert Organization.objects.get(pk=cast.north.pk).parent_id == there.pk
    assert FlagSetting.objects.get(organization=cast.north, flag__key="checkout").enabled is True
