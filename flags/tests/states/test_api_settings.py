"""Settings over HTTP: /v1/organizations/{organization}/flags/{flag}."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast, _key
from flags.definitions import service
from flags.models import FlagSetting, FlagState
from flags.states import planning
from jobs.engine import runner
from jobs.tests.races.threads import Background
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.subtrees import Subtree

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def north_key(cast: Cast) -> str:
    return _key("north", Role.EDITOR, cast.north)


def address(organization: Organization, flag: str = "checkout") -> str:
    return f"/v1/organizations/{organization.key}/flags/{flag}"


def put(api: Api, organization: Organization, value: bool, **more: Any) -> Any:
    answer = api.put(address(organization), {"value": value, **more})
    while runner.run_next("propagation"):
        pass
    return answer


def values() -> dict[str, bool | None]:
    return dict(FlagState.objects.filter(enabled__isnull=False).values_list("organization__key", "enabled"))


def test_a_setting_on_a_parent_keeps_the_settings_below_and_names_its_job(api: Api, cast: Cast) -> None:
    leaf = put(api, cast.oslo, True, reason="the pilot begins")
    assert (leaf.status_code, leaf.json()["processedImmediately"], leaf.json()["jobId"]) == (200, True, None)
    assert leaf.json()["setting"]["reason"] == "the pilot begins"
    parent = put(api, cast.north, False)
    body = parent.json()
    assert (parent.status_code, parent.headers["Location"]) == (202, f"/job-status/{body['jobId']}")
    assert (body["value"], body["inherited"], body["settingsEnded"], body["masked"]) == (
        False, False, 0, {"settings": 0},
    )  # fmt: skip
    assert values() == {"north": False, "bergen": False, "oslo": True}
    read = api.get(address(cast.bergen)).json()
    assert (read["value"], read["inherited"], read["sourceOrganizationId"], read["setting"]) == (
        False, True, cast.north.pk, None,
    )  # fmt: skip


def test_overwrite_ends_the_settings_below(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    assert put(api, cast.acme, False, below="overwrite").json()["settingsEnded"] == 1
    assert set(values().values()) == {False}
    assert api.get(address(cast.oslo)).json()["setting"] is None


def test_below_a_lock_every_door_is_refused_and_names_who_locked_it(api: Api, cast: Cast, north_key: str) -> None:
    put(api, cast.oslo, True)
    locked = put(api, cast.acme, False, below="lock", reason="The till is broken.").json()
    assert (locked["locked"], locked["lockedBy"], locked["masked"]) == (True, cast.acme.pk, {"settings": 1})
    assert values()["oslo"] is False
    refused = put(api, cast.oslo, True)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/flag-locked")
    assert refused.json()["lockedBy"] == cast.acme.pk
    assert "locked by the organization Acme (acme)" in refused.json()["detail"]
    for answer in (
        api.post(f"/{cast.oslo.pk}/checkout/true"), api.delete(address(cast.oslo)),
        api.post(f"{address(cast.oslo)}/plan", {"value": True}),
    ):  # fmt: skip
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/flag-locked")
    bound = Api(north_key)
    hidden = bound.put(address(cast.oslo), {"value": True})
    assert hidden.status_code == 409
    assert "lockedBy" not in hidden.json()
    assert "cme" not in hidden.json()["detail"]
    read = bound.get(address(cast.oslo)).json()
    assert (read["locked"], read["lockedBy"]) == (True, None)


def test_an_unlock_brings_the_settings_below_back(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    put(api, cast.acme, False, below="lock")
    gone = api.delete(address(cast.acme))
    while runner.run_next("propagation"):
        pass
    assert (gone.status_code, gone.json()["value"], gone.json()["locked"]) == (202, None, False)
    assert values() == {"oslo": True}
    again = api.delete(address(cast.acme))
    assert (again.status_code, again.json()["changeNumber"], again.json()["processedImmediately"]) == (200, None, True)


def test_a_reset_of_the_subtree_ends_everything_below(api: Api, cast: Cast) -> None:
    put(api, cast.acme, True)
    put(api, cast.north, False)
    put(api, cast.oslo, False)
    answer = api.delete(f"{address(cast.north)}?subtree=true")
    while runner.run_next("propagation"):
        pass
    assert answer.json()["settingsEnded"] == 1
    assert set(values().values()) == {True}


def test_a_value_that_counts_here_does_not_reach_below(api: Api, cast: Cast) -> None:
    put(api, cast.acme, True)
    assert put(api, cast.north, False, reach="here").json()["setting"]["reach"] == "here"
    assert {key for key, value in values().items() if not value} == {"north"}
    refused = put(api, cast.north, False, reach="here", below="lock")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "reach")


def test_a_plan_counts_and_writes_nothing(api: Api, cast: Cast) -> None:
    put(api, cast.acme, True)
    put(api, cast.oslo, False)
    before = list(FlagSetting.objects.order_by("pk").values())
    plan = api.post(f"{address(cast.acme)}/plan", {"value": False}).json()
    counts = {
        name: plan[name] for name in ("organizations", "changed", "unchanged", "own", "masked", "ended", "locked")
    }
    assert counts == {
        "organizations": 6, "changed": 5, "unchanged": 1, "own": 1, "masked": 0, "ended": 0, "locked": 0,
    }  # fmt: skip
    lock = api.post(f"{address(cast.acme)}/plan", {"value": True, "below": "lock"}).json()
    assert (lock["changed"], lock["own"], lock["masked"], lock["locked"]) == (1, 0, 1, 6)
    assert lock["samples"] == [
        {"organizationId": cast.oslo.pk, "path": ["Acme", "North", "Oslo"], "organizations": 1,
         "before": False, "after": True, "beforeVariant": "off", "afterVariant": "on",
         "beforeValue": "false", "afterValue": "true"},
    ]  # fmt: skip
    overwrite = api.post(f"{address(cast.acme)}/plan", {"value": True, "below": "overwrite"}).json()
    assert (overwrite["changed"], overwrite["ended"]) == (1, 1)
    reset = api.post(f"{address(cast.acme)}/plan", {"reset": True, "subtree": True}).json()
    assert (reset["changed"], reset["ended"]) == (5, 1), "the default is off, as Oslo already is"
    assert list(FlagSetting.objects.order_by("pk").values()) == before


def test_a_change_with_the_hash_of_its_plan_is_refused_if_something_has_moved_in_between(api: Api, cast: Cast) -> None:
    put(api, cast.acme, True)
    body = {"value": False, "below": "keep"}
    plan_hash = api.post(f"{address(cast.north)}/plan", body).json()["planHash"]
    put(api, cast.rome, False)  # beside it, so nothing of the plan depends on it
    assert api.put(address(cast.north), body | {"planHash": plan_hash}).status_code == 202
    plan_hash = api.post(f"{address(cast.north)}/plan", body).json()["planHash"]
    number = put(api, cast.oslo, True).json()["changeNumber"]
    stale = api.put(address(cast.north), body | {"planHash": plan_hash})
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/plan-stale")
    assert f"The setting of the organization {cast.oslo.pk} was changed (change {number})." in stale.json()["detail"]
    other = api.post(f"{address(cast.north)}/plan", {"value": True}).json()["planHash"]
    assert "another request" in api.put(address(cast.north), body | {"planHash": other}).json()["detail"]


def test_a_plan_is_stale_if_the_organizations_that_agree_have_changed(api: Api, cast: Cast) -> None:
    """One less below a setting, and one more elsewhere, is another effect, though the subtree is as large."""
    put(api, cast.north, True)
    body = {"value": True}
    plan = api.post(f"{address(cast.acme)}/plan", body).json()
    api.delete("/organizations/bergen")
    api.post("/organizations", {"name": "Milan", "key": "milan", "parentId": cast.south.pk})
    later = api.post(f"{address(cast.acme)}/plan", body).json()
    assert ((plan["organizations"], plan["changed"]), (later["organizations"], later["changed"])) == ((6, 3), (6, 4))
    refused = api.put(address(cast.acme), body | {"planHash": plan["planHash"]})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/plan-stale")
    assert "created, moved or deleted below" in refused.json()["detail"]


def test_a_reset_of_an_unknown_flag_has_no_plan(api: Api, cast: Cast) -> None:
    answer = api.post("/v1/organizations/acme/flags/no-such/plan", {"reset": True})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/flag-not-found")


@pytest.mark.parametrize("nonsense", ["", "x", "1-2-3", "9" * 150, "--", "1-2-3-4-5"])
def test_a_hash_that_is_none_is_stale_or_refused(api: Api, cast: Cast, nonsense: str) -> None:
    put(api, cast.acme, True)
    answer = api.put(address(cast.oslo), {"value": False, "planHash": nonsense})
    assert answer.status_code in (400, 409)


def test_a_change_of_more_organizations_than_the_request_allows_is_refused(api: Api, cast: Cast) -> None:
    refused = api.put(address(cast.acme), {"value": True, "atMost": 5})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/blast-radius")
    assert not FlagSetting.objects.exists()
    assert api.put(address(cast.acme), {"value": True, "atMost": 6}).status_code == 202


def test_the_audit_log_has_locks_and_resets(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True, below="lock", reason="The till is broken.")
    api.delete(address(cast.oslo))
    entries = list(AuditEntry.objects.filter(action__startswith="flag.").order_by("pk"))
    assert [entry.action for entry in entries[-2:]] == ["flag.lock", "flag.reset"]


def test_a_lock_turns_the_flag_off_for_the_whitelist_too(api: Api, cast: Cast) -> None:
    service.create(key="checkout", values={"enabled": True, "whitelist": ["anna"]}, by="user:olga")
    question = {"userId": "anna", "organizationKey": "oslo"}

    def answer() -> tuple[bool, str]:
        found = api.post("/v1/feature-flags/checkout/check", question).json()
        return found["enabled"], found["rule"]

    put(api, cast.acme, False)
    assert answer() == (True, "whitelist")
    put(api, cast.acme, False, below="lock")
    assert answer() == (False, "organization")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "plan-1"}])
def test_a_move_during_a_plan_shows_nobody_the_organizations_of_others(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """A creation or a move may give the numbers of a subtree to others between two queries."""
    put(api, cast.acme, True)
    put(api, cast.rome, False)
    found = planning.of_set
    moves: list[Background] = []

    def move_first(subtree: Subtree, *args: Any, **more: Any) -> Any:
        moves.append(Background(lambda: tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.north.pk)))
        if headers:
            moves[0].wait_until_blocked()
        else:
            moves[0].result()
        return found(subtree, *args, **more)

    monkeypatch.setattr(planning, "of_set", move_first)
    plan = api.post(f"{address(cast.south)}/plan", {"value": False}, **headers).json()
    moves[0].result()
    assert (plan["organizations"], plan["changed"], plan["own"]) == (2, 1, 1)
