"""An undo of a change of a definition restores the fields that the change has changed, and leaves others alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions import service
from flags.definitions.fields import values_of
from flags.definitions.models import Flag
from flags.errors import ChangeNotUndoable
from flags.undoing.undo import find
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
OPS = Caller("command:ops@host", Role.ADMIN)


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    Flag.objects.create(key="basket")
    Flag.objects.create(key="checkout")
    return Api(admin_key)


def change(**values: Any) -> int:
    """Change the definition, and return the number of the change, which the audit log tells."""
    service.update(key="checkout", values=values, by="user:olga", reason="x")
    return int(AuditEntry.objects.latest("id").details["changeNumber"])


def now() -> dict[str, Any]:
    return values_of(Flag.objects.get(key="checkout"))


def undo(api: Api, number: int, **more: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/changes/{number}/undo", {"reason": "a mistake", **more})
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    "values",
    [
        {"killed": True},
        {"archived": True},
        {"enabled": True, "rollout_percentage": Decimal("12.5")},
        {"whitelist": ["ada", "bo"], "tags": ["a"], "environments": {"staging": False}},
        {"prerequisites": ["basket"]},
        {"rollout_unit": "ancestor", "rollout_level": 1, "salt": "abc"},
        {"expires_on": date(2031, 1, 31), "owner": "shop", "kind": "operational", "description": "text"},
    ],
)
def test_each_field_gets_its_former_value_and_the_undo_can_be_undone(api: Api, values: dict[str, Any]) -> None:
    before = now()
    number = change(**values)
    after = now()
    body = undo(api, number)
    assert now() == before
    assert (body["kind"], body["featureFlag"], body["organizationId"]) == ("definition", "checkout", None)
    assert (body["restored"], body["leftAloneCount"], body["processedImmediately"]) == (len(values), 0, True)
    entry = AuditEntry.objects.get(action="flag.undo")
    assert (entry.reason, entry.details["undone"]) == ("a mistake", number)
    undo(api, body["changeNumber"])
    assert now() == after


def test_fields_that_were_changed_since_are_left_alone_and_listed(api: Api) -> None:
    number = change(owner="shop", killed=True, tags=["a"])
    change(killed=False, owner="till")
    assert now()["killed"] is False
    body = undo(api, number)
    assert (body["restored"], body["leftAloneFields"], body["leftAloneCount"]) == (1, ["owner"], 1)
    assert (now()["owner"], now()["tags"]) == ("till", [])


def test_what_somebody_changes_just_before_the_undo_is_left_alone(api: Api) -> None:
    found = find(OPS, change(owner="shop", tags=["a"]))
    change(owner="till", description="another change")
    undone = found.undo()
    assert (undone.restored, undone.left_alone.fields) == (1, ["owner"])
    assert (now()["owner"], now()["tags"], now()["description"]) == ("till", [], "another change")


def test_one_change_after_the_other_is_undone(api: Api) -> None:
    before = now()
    numbers = [change(owner="a"), change(owner="b"), change(owner="c", killed=True)]
    for number in reversed(numbers):
        undo(api, number)
    assert now() == before


def test_if_everything_was_changed_since_there_is_nothing_to_undo(api: Api) -> None:
    number = change(owner="a")
    change(owner="b")
    answer = api.post(f"/v1/changes/{number}/undo")
    assert (answer.status_code, kind_of(answer)) == (409, "change-not-undoable")
    undone = change(killed=True)
    undo(api, undone)
    assert kind_of(api.post(f"/v1/changes/{undone}/undo")) == "change-not-undoable"


def test_the_rules_of_today_count(api: Api) -> None:
    change(prerequisites=["basket"])
    number = change(prerequisites=[])
    service.update(key="basket", values={"prerequisites": ["checkout"]}, by="x")
    assert kind_of(api.post(f"/v1/changes/{number}/undo")) == "prerequisite-cycle"
    assert kind_of(api.post(f"/v1/changes/{number}/undo/plan")) == "prerequisite-cycle"
    service.update(key="basket", values={"prerequisites": []}, by="x")
    Flag.objects.filter(key="basket").update(purging=True, archived=True)
    assert kind_of(api.post(f"/v1/changes/{number}/undo")) == "unknown-prerequisite"
    assert now()["prerequisites"] == []


def test_a_purged_flag_and_a_flag_that_is_being_purged_have_nothing_to_undo(api: Api) -> None:
    number = change(killed=True)
    flag = Flag.objects.filter(key="checkout")
    flag.update(purging=True, archived=True)
    assert kind_of(api.post(f"/v1/changes/{number}/undo")) == "flag-purging"
    flag.delete()
    assert kind_of(api.post(f"/v1/changes/{number}/undo")) == "change-not-found"


def test_only_who_may_define_flags_undoes_and_nobody_bound_learns_of_the_change(api: Api, cast: Cast) -> None:
    number = change(killed=True)
    bound = Api(AccessKey.objects.create_key(name="b", role=Role.ADMIN, organization=cast.acme)[1])
    for path in ("undo", "undo/plan"):
        assert kind_of(bound.post(f"/v1/changes/{number}/{path}")) == "change-not-found"
    address = f"/admin/flags/flag/undo/{number}/"
    assert signed_in("admin", name="bea", bound_to=cast.acme).get(address).status_code == 404
    assert now()["killed"] is True


def test_the_plan_says_what_is_restored_and_the_undo_takes_its_hash(api: Api) -> None:
    number = change(enabled=True, owner="a")
    change(owner="b")
    plan = api.post(f"/v1/changes/{number}/undo/plan").json()
    assert plan["restores"] == [{"organizationId": None, "field": "enabled", "before": True, "after": False}]
    assert (plan["organizations"], plan["changed"], plan["leftAloneFields"]) == (8, 8, ["owner"])
    assert now()["enabled"] is True
    assert kind_of(api.post(f"/v1/changes/{number}/undo", {"atMost": 7})) == "blast-radius"
    change(killed=True)
    stale = api.post(f"/v1/changes/{number}/undo", {"planHash": plan["planHash"]})
    assert kind_of(stale) == "plan-stale"
    assert "The definition has the version 4 now, and had 3." in stale.json()["detail"]
    fresh = api.post(f"/v1/changes/{number}/undo/plan").json()["planHash"]
    undo(api, number, planHash=fresh)
    assert now()["enabled"] is False


def test_the_page_and_the_command_show_the_plan_then_undo(api: Api) -> None:
    number = change(killed=True)
    lines = run("undo", number, "--plan").lines
    assert lines == ["killed: true → false", "No organization gets another answer.", "Nothing was written."]
    client = signed_in("admin")
    entry = AuditEntry.objects.filter(action="flag.update").latest("id")
    address = f"/admin/flags/flag/undo/{number}/"
    assert address in client.get(f"/admin/orgs/auditentry/{entry.pk}/change/").content.decode()
    page = client.get(address)
    assert "user:olga changed the definition of checkout: killed." in shown(page)
    hash_ = page.context["plan"].effect.hash
    assert client.post(address, {"reason": "oops", "plan_hash": hash_}).status_code == 302
    assert now()["killed"] is False
    again = change(killed=True)
    assert f"Change {again} is undone: 1 field restored." in run("undo", again).out
    assert now()["killed"] is False


VALUES = {
    "enabled": st.booleans(),
    "killed": st.booleans(),
    "archived": st.booleans(),
    "owner": st.sampled_from(["", "a", "b"]),
    "rollout_percentage": st.sampled_from([None, Decimal(0), Decimal("12.5"), Decimal("99.999")]),
    "whitelist": st.sampled_from([[], ["ada"], ["ada", "bo"]]),
    "environments": st.sampled_from([{}, {"staging": True}, {"staging": False, "test": True}]),
    "prerequisites": st.sampled_from([[], ["basket"]]),
    "expires_on": st.sampled_from([None, date(2031, 1, 31)]),
}
CHANGES = st.lists(
    st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), min_size=1, max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, order=st.randoms(use_true_random=False))
def test_undos_in_any_order_restore_or_list_each_field(api: Api, changes: list[dict[str, Any]], order: Any) -> None:
    """The model: an undo gives back each field that still has the value of the change. Others do not change."""
    Flag.objects.filter(key="checkout").delete()
    service.create(key="checkout", values={}, by="x")
    made: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
    for values in changes:
        before = now()
        service.update(key="checkout", values=values, by="x")
        changed = {name: value for name, value in values.items() if before[name] != value}
        if changed:
            number = int(AuditEntry.objects.latest("id").details["changeNumber"])
            made.append((number, {name: before[name] for name in changed}, changed))
    order.shuffle(made)
    for number, former, written in made:
        current = now()
        differing = {name for name in written if current[name] != former[name]}
        kept = {name for name in differing if current[name] != written[name]}
        try:
            undone = find(OPS, number).undo()
        except ChangeNotUndoable:
            assert differing == kept
            continue
        assert (undone.restored, undone.left_alone.count) == (len(differing) - len(kept), len(kept))
        assert now() == current | {name: former[name] for name in differing - kept}
