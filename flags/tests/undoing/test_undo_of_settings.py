"""An undo restores what a change has replaced or ended, and leaves alone what was changed since."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.errors import ChangeNotUndoable, FlagLocked
from flags.models import FlagSetting, FlagState, ReplacedSetting
from flags.states.planning import Agreed
from flags.states.set_flag import reset_flag, set_flag
from flags.states.setting_rules import Below
from flags.undoing.undo import find
from jobs.engine import runner
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

pytestmark = pytest.mark.django_db
OPS = Caller("command:ops@host", Role.ADMIN)
ON = {"kind": "set", "value": True, "reach": "below"}
LOCKED_OFF = {"kind": "lock", "value": False, "reach": "below"}


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def set_(organization: Organization, enabled: bool, below: Below = Below.KEEP, **more: Any) -> int:
    number = set_flag(
        organization_id=organization.pk, flag_key="checkout", enabled=enabled, below=below, **more
    ).change.number
    run_jobs()
    return number


def undo(api: Api, number: int) -> Any:
    answer = api.post(f"/v1/changes/{number}/undo", {"reason": "the wrong region"})
    run_jobs()
    return answer


def values() -> dict[str, tuple[bool | None, bool]]:
    rows = FlagState.objects.filter(enabled__isnull=False)
    return {
        key: (enabled, locked) for key, enabled, locked in rows.values_list("organization__key", "enabled", "locked")
    }


def test_an_overwrite_gives_back_the_settings_that_it_has_ended(api: Api, cast: Cast) -> None:
    set_(cast.acme, True)
    set_(cast.oslo, False)
    set_(cast.south, False, Below.LOCK)
    before = values()
    number = set_(cast.acme, True, Below.OVERWRITE)
    assert values() != before
    answer = undo(api, number)
    body = answer.json()
    assert (answer.status_code, body["restored"], body["leftAlone"], body["leftAloneCount"]) == (202, 3, [], 0)
    assert answer.headers["Location"] == body["trackingUrl"]
    assert values() == before
    entry = AuditEntry.objects.get(action="flag.undo")
    assert (entry.reason, entry.details["undone"], entry.details["restored"]) == ("the wrong region", number, 3)


def test_what_was_changed_since_stays_and_is_listed(api: Api, cast: Cast) -> None:
    set_(cast.oslo, False)
    set_(cast.bergen, False)
    number = set_(cast.acme, True, Below.OVERWRITE)
    set_(cast.oslo, True)
    body = undo(api, number).json()
    assert (body["restored"], body["leftAlone"], body["leftAloneCount"]) == (2, [cast.oslo.pk], 1)
    assert values() == {"oslo": (True, False), "bergen": (False, False)}


def test_a_set_where_nothing_was_set_becomes_nothing_again(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, True)
    answer = undo(api, number)
    assert (answer.status_code, answer.json()["processedImmediately"]) == (200, True)
    assert values() == {}


@pytest.mark.parametrize("subtree", [False, True])
def test_a_lock_and_a_reset_are_undone(api: Api, cast: Cast, subtree: bool) -> None:
    set_(cast.oslo, True)
    lock = set_(cast.north, False, Below.LOCK)
    locked = values()
    accepted = reset_flag(organization_id=cast.north.pk, flag_key="checkout", subtree=subtree)
    run_jobs()
    assert accepted is not None
    assert undo(api, accepted.change.number).status_code == 202
    assert values() == locked
    assert undo(api, lock).status_code == 202, "after the undo it is as the lock has left it"
    assert values() == {"oslo": (True, False)}


def test_an_undo_can_be_undone(api: Api, cast: Cast) -> None:
    set_(cast.oslo, False)
    number = set_(cast.acme, True, Below.OVERWRITE)
    after = values()
    undone = undo(api, number).json()["changeNumber"]
    assert values() != after
    undo(api, undone)
    assert values() == after


def test_a_moved_organization_is_left_alone(api: Api, cast: Cast) -> None:
    set_(cast.oslo, False)
    set_(cast.rival, True)
    number = set_(cast.acme, True, Below.OVERWRITE)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    run_jobs()
    answer = undo(api, number).json()
    assert (answer["restored"], answer["leftAlone"], answer["leftAloneCount"]) == (1, [], 1)
    assert values()["oslo"] == (True, False)


def test_a_move_inside_hinders_no_undo(api: Api, cast: Cast) -> None:
    set_(cast.oslo, False)
    number = set_(cast.acme, True, Below.OVERWRITE)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    run_jobs()
    answer = undo(api, number).json()
    assert (answer["restored"], answer["leftAloneCount"], values()) == (2, 0, {"oslo": (False, False)})


def test_an_exemption_that_came_and_went_hinders_no_undo(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, False)
    set_(cast.acme, True, Below.LOCK)
    api.put("/v1/organizations/oslo/flags/checkout/exemption", {})
    set_(cast.acme, True)
    assert undo(api, number).json()["restored"] == 1
    assert values() == {one.key: (True, False) for one in cast.of_acme}


def test_one_change_after_the_other_is_undone(api: Api, cast: Cast) -> None:
    first, second, third = set_(cast.oslo, True), set_(cast.oslo, False), set_(cast.acme, False, Below.OVERWRITE)
    for number in (third, second, first):
        assert undo(api, number).json()["restored"]
    assert values() == {}
    again = undo(api, first)
    assert (again.status_code, kind_of(again)) == (409, "change-not-undoable")


def test_a_value_that_a_move_has_kept_is_a_decision_since(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, True)
    undone = undo(api, number).json()["changeNumber"]
    set_(cast.north, True)
    options = MoveOptions(keeps_values=True)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.acme.pk, options=options)
    assert kind_of(undo(api, undone)) == "change-not-undoable"
    assert values()["oslo"] == (True, False)


def test_whoever_has_set_the_same_again_keeps_it(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, True)
    set_(cast.oslo, True)
    assert "changed" in undo(api, number).json()["detail"]
    assert values() == {"oslo": (True, False)}


def test_what_cannot_be_undone_is_refused_in_words(api: Api, cast: Cast) -> None:
    set_(cast.acme, True, Below.LOCK)
    exemption = api.put("/v1/organizations/oslo/flags/checkout/exemption", {}).json()["changeNumber"]
    refused = undo(api, exemption)
    assert (refused.status_code, kind_of(refused)) == (409, "change-not-undoable")
    assert "End an exemption by its end." in refused.json()["detail"]
    set_(cast.acme, True)
    assert (undo(api, 10**12).status_code, kind_of(undo(api, 10**12))) == (404, "change-not-found")
    old = set_(cast.bergen, True)
    ReplacedSetting.objects.all().delete()
    assert "earlier version" in undo(api, old).json()["detail"]


def test_below_a_lock_nothing_is_undone(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, True)
    set_(cast.acme, False, Below.LOCK)
    refused = undo(api, number)
    assert (refused.status_code, kind_of(refused), refused.json()["lockedBy"]) == (409, "flag-locked", cast.acme.pk)


def test_a_change_above_or_beside_a_bound_key_does_not_exist_for_it(cast: Cast) -> None:
    above, inside = set_(cast.acme, True), set_(cast.oslo, True)
    bound = Api(_key("north", Role.EDITOR, cast.north))
    hidden, missing = undo(bound, above), undo(bound, 10**12)
    assert (hidden.status_code, hidden.json()["detail"]) == (404, missing.json()["detail"])
    assert undo(bound, inside).status_code == 200


def test_a_purge_deletes_what_was_replaced(cast: Cast) -> None:
    set_(cast.oslo, True)
    assert ReplacedSetting.objects.exists()
    service.archive(key="checkout", by="user:olga")
    service.purge(key="checkout", by="user:olga")
    while runner.run_next("default"):
        pass
    assert not ReplacedSetting.objects.exists()


def test_what_an_overwrite_ends_is_kept_without_a_nested_loop(db: None) -> None:
    """The function keeps the plan of its first call, in which one setting is replaced."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT proconfig FROM pg_proc WHERE proname = 'flags_keep_replaced_settings'")
        assert cursor.fetchone() == (["enable_nestloop=off"],)


def test_the_plan_says_what_is_restored_what_stays_and_how_many_change(api: Api, cast: Cast) -> None:
    set_(cast.acme, True)
    set_(cast.oslo, False)
    set_(cast.bergen, False)
    set_(cast.south, False, Below.LOCK)
    number = set_(cast.acme, True, Below.OVERWRITE)
    set_(cast.bergen, True)
    before = values()
    plan = api.post(f"/v1/changes/{number}/undo/plan").json()
    assert values() == before
    assert plan["restores"] == [
        {"organizationId": cast.acme.pk, "field": None, "before": ON, "after": ON},
        {"organizationId": cast.oslo.pk, "field": None, "before": None, "after": ON | {"value": False}},
        {
            "organizationId": cast.south.pk,
            "field": None,
            "before": None,
            "after": {**ON, "value": False, "kind": "lock"},
        },
    ]
    assert (plan["restored"], plan["leftAlone"], plan["leftAloneCount"]) == (3, [cast.bergen.pk], 1)
    assert (plan["organizations"], plan["changed"], plan["unchanged"]) == (6, 3, 3)  # Oslo, South, Rome
    undone = api.post(f"/v1/changes/{number}/undo", {"planHash": plan["planHash"], "atMost": 3})
    assert undone.status_code == 202


def test_an_undo_with_the_hash_of_an_old_plan_or_of_too_many_organizations_is_refused(api: Api, cast: Cast) -> None:
    set_(cast.acme, True)
    number = set_(cast.acme, False, Below.OVERWRITE)
    plan = api.post(f"/v1/changes/{number}/undo/plan").json()
    assert kind_of(api.post(f"/v1/changes/{number}/undo", {"atMost": 5})) == "blast-radius"
    later = set_(cast.oslo, False)
    stale = api.post(f"/v1/changes/{number}/undo", {"planHash": plan["planHash"]})
    assert kind_of(stale) == "plan-stale"
    assert f"(change {later})" in stale.json()["detail"]
    assert values()["rome"] == (False, False)


def test_the_plan_is_refused_where_the_undo_is(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, True)
    set_(cast.oslo, False)
    assert kind_of(api.post(f"/v1/changes/{number}/undo/plan")) == "change-not-undoable"
    latest = set_(cast.oslo, True)
    set_(cast.acme, False, Below.LOCK)
    assert kind_of(api.post(f"/v1/changes/{latest}/undo/plan")) == "flag-locked"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_plan_of_an_undo_counts_what_the_undo_then_changes(api: Api, cast: Cast, data: st.DataObject) -> None:
    """Random sets, locks and resets, then the undo of one of them: the plan tells how many values differ after it."""
    Flag.objects.filter(key="checkout").delete()
    FlagState.objects.all().delete()
    FlagSetting.objects.all().delete()
    numbers = []
    for _ in range(data.draw(st.integers(2, 6))):
        where = data.draw(st.sampled_from([*cast.of_acme, cast.rival]))
        with suppress(FlagLocked):
            if Flag.objects.exists() and data.draw(st.integers(0, 3)) == 0:
                accepted = reset_flag(organization_id=where.pk, flag_key="checkout", subtree=data.draw(st.booleans()))
                run_jobs()
                numbers += [accepted.change.number] if accepted else []
            else:
                numbers.append(set_(where, data.draw(st.booleans()), data.draw(st.sampled_from(list(Below)))))
    change = find(OPS, data.draw(st.sampled_from(numbers)))
    before = all_values()
    try:
        plan = change.plan()
    except (FlagLocked, ChangeNotUndoable) as error:
        with pytest.raises(type(error)):
            change.undo()
        return
    undone = change.undo(agreed=Agreed(plan.changed, plan.effect.hash))
    run_jobs()
    after = all_values()
    assert sum(before[key] != after[key] for key in before) == plan.changed
    assert (undone.restored, undone.left_alone) == (plan.restored, plan.left_alone)


def all_values() -> dict[int, bool]:
    """The stored value of each organization; the flag's default is off."""
    states = dict(FlagState.objects.filter(enabled=True).values_list("organization_id", "enabled"))
    return {pk: states.get(pk, False) for pk in Organization.objects.values_list("pk", flat=True)}


def test_the_page_of_a_cancelled_job_offers_the_undo_of_its_change(api: Api, cast: Cast) -> None:
    set_(cast.oslo, False)
    accepted = set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True, below=Below.OVERWRITE)
    job, number = accepted.job, accepted.change.number
    assert job is not None
    client, viewer = signed_in("operator"), signed_in("viewer", name="vic")
    address, page = f"/admin/flags/flag/undo/{number}/", f"/admin/jobs/job/{job.pk}/change/"
    assert address not in client.get(page).content.decode()
    api.post(f"/cancel-job/{job.pk}")
    assert address in client.get(page).content.decode()
    assert address not in viewer.get(page).content.decode()
    undo_page = client.get(address)
    text = shown(undo_page)
    assert "Acme › North › Oslo" in text
    assert "not set" in text
    fields = {"reason": "oops", "plan_hash": undo_page.context["plan"].effect.hash}
    assert client.post(address, fields).status_code == 302
    run_jobs()
    assert values() == {"oslo": (False, False)}
