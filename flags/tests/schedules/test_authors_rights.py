"""At its time, a scheduled change is checked anew: its author has to be allowed to make it still."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db.models.functions import Now

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.schedules import move_preview
from flags.schedules.due import DueResult, apply_due
from flags.schedules.models import FlagSchedule
from flags.states.models import FlagState
from flags.tests.schedules.plans import as_of, planned
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, ids
from orgs.tests.people import person, shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.admin_sections import PlannedMove
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def key_of(organization: Organization | None = None, role: Role = Role.EDITOR) -> Caller:
    """The caller of a new access key."""
    key, _ = access_keys.create(name="nightly", role=role, organization=organization)
    return Caller(f"key:{key.prefix} nightly", role, key.organization_id)


def prefix_of(caller: Caller) -> str:
    return caller.name.removeprefix("key:").partition(" ")[0]


def why_refused(schedule: FlagSchedule) -> str:
    """Apply what is due, of which the schedule is refused for good; return the reason."""
    assert apply_due() == DueResult(failed=1)
    now = as_of(schedule)
    assert (now.status, now.next_retry_at) == ("failed", None)
    assert not FlagState.objects.filter(flag__key=schedule.flag_key).exists()
    intro = f"{schedule.created_by} has planned this change and may no longer make it: "
    assert now.last_error.startswith(intro)
    assert AuditEntry.objects.get(action="flag-schedule.fail").details["error"] == now.last_error
    return now.last_error.removeprefix(intro).partition(". Somebody")[0]


def test_an_author_who_may_still_make_the_change_makes_it(cast: Cast) -> None:
    someone = person("operator", bound_to=cast.north, name="ada")
    callers = [
        key_of(cast.oslo), key_of(cast.north), key_of(cast.acme), key_of(), key_of(role=Role.ADMIN),
        Caller(f"user:{someone.username}", Role.OPERATOR, cast.north.pk), Caller("command:root@host", Role.ADMIN),
    ]  # fmt: skip
    schedules = [planned(cast.oslo, by=caller) for caller in callers]
    planned(None, by=callers[3])
    assert apply_due() == DueResult(applied=len(schedules) + 1)
    assert {as_of(schedule).author_gone for schedule in schedules} == {""}


def test_a_change_does_not_outlive_a_move_to_another_customer(cast: Cast) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.acme))
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert why_refused(schedule) == "the organization is no longer in the author's subtree"


def test_a_series_ends_with_the_authors_right(cast: Cast) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.acme))
    FlagSchedule.objects.update(cron="0 9 * * *", time_zone="UTC")
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    why_refused(schedule)
    assert FlagSchedule.objects.count() == 1


def test_a_move_within_the_authors_subtree_changes_nothing(cast: Cast) -> None:
    planned(cast.oslo, by=key_of(cast.acme))
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    assert apply_due() == DueResult(applied=1)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ({"revoked": True}, "the access key has been revoked"),
        ({"expiry_date": Now() - timedelta(seconds=1)}, "the access key has expired"),
        ({"role": "reader"}, "its role is reader by now, and the change needs editor"),
        ({"role": "client"}, "its role is client by now, and the change needs editor"),
    ],
)
def test_a_change_does_not_outlive_its_key(cast: Cast, end: dict[str, object], why: str) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.north))
    AccessKey.objects.update(**end)
    assert why_refused(schedule) == why


def test_a_change_does_not_outlive_a_key_that_is_deleted_with_its_organization(cast: Cast) -> None:
    caller = key_of(cast.north)
    schedule = planned(cast.oslo, by=caller)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert why_refused(schedule) == "the access key has been deleted"


def test_the_successor_of_a_rotated_key_takes_its_place(cast: Cast) -> None:
    caller = key_of(cast.north)
    schedule = planned(cast.oslo, by=caller)
    successor, _ = access_keys.rotate(prefix=prefix_of(caller), overlap=timedelta(0))
    assert AccessKey.objects.get(prefix=prefix_of(caller)).has_expired
    assert apply_due() == DueResult(applied=1)
    later = planned(cast.oslo, by=caller)
    FlagState.objects.all().delete()
    AccessKey.objects.filter(prefix=successor.prefix).update(revoked=True)  # past Flagsite, which would cancel the plan
    assert why_refused(later) == "the access key has been revoked"
    assert as_of(schedule).status == "applied"


def test_a_definition_is_changed_only_by_an_author_without_a_scope(cast: Cast) -> None:
    schedule = planned(None, by=key_of())
    AccessKey.objects.update(organization=cast.acme)
    assert why_refused(schedule).startswith("the author is bound to an organization by now")
    assert not Flag.objects.get().enabled


def test_what_a_person_planned_who_has_left_is_applied_and_says_so(cast: Cast) -> None:
    for name in ("closed", "deleted"):
        person("operator", bound_to=cast.north, name=name)
    names = ("closed", "deleted")
    plans = [planned(cast.oslo, by=Caller(f"user:{name}", Role.OPERATOR, cast.north.pk)) for name in names]
    User.objects.filter(username="closed").update(is_active=False)
    StaffScope.objects.filter(user__username="deleted").delete()
    User.objects.filter(username="deleted").delete()
    assert apply_due() == DueResult(applied=2)
    assert [as_of(plan).author_gone for plan in plans] == [
        "The person's account has been deactivated.", "The person's account has been deleted.",
    ]  # fmt: skip
    entries = AuditEntry.objects.filter(action="flag-schedule.apply").order_by("id")
    assert [(entry.actor, entry.details["authorGone"]) for entry in entries] == [
        (plan.created_by, as_of(plan).author_gone) for plan in plans
    ]


def test_what_a_person_planned_who_has_left_stays_within_the_scope_that_the_person_had(cast: Cast) -> None:
    person("operator", bound_to=cast.acme, name="closed")
    schedule = planned(cast.oslo, by=Caller("user:closed", Role.OPERATOR, cast.acme.pk))
    User.objects.update(is_active=False)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert why_refused(schedule) == "the organization is no longer in the author's subtree"


@pytest.mark.parametrize("how", ["group", "staff", "scope"])
def test_a_person_who_is_still_there_needs_the_rights_of_today(cast: Cast, how: str) -> None:
    ada = person("operator", bound_to=cast.north, name="ada")
    schedule = planned(cast.oslo, by=Caller("user:ada", Role.OPERATOR, cast.north.pk))
    if how == "group":
        ada.groups.set([Group.objects.get(name="viewer")])
    elif how == "staff":
        ada.groups.clear()
        User.objects.update(is_staff=False)
    else:
        StaffScope.objects.update(organization=cast.south)
    whys = {
        "group": "its role is reader by now, and the change needs editor",
        "staff": "the person has no access to Flagsite by now",
        "scope": "the organization is no longer in the author's subtree",
    }
    assert why_refused(schedule) == whys[how]


def test_a_refused_change_is_listed_for_the_author_and_for_the_organizations_new_owner(cast: Cast) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.acme), reason="own reason")
    others = planned(cast.rome, by=key_of())
    tree_operations.rename(organization_id=cast.oslo.pk, name="New Name")
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    apply_due()
    ours, theirs = (Api(_key(name, Role.READER, top)) for name, top in (("a", cast.acme), ("b", cast.rival)))
    assert ids(ours.get("/v1/schedules")) == [others.pk, schedule.pk]
    assert ids(theirs.get("/v1/schedules")) == [schedule.pk]
    for api in (ours, theirs):
        answer = api.get(f"/v1/schedules/{schedule.pk}").json()
        assert answer["createdBy"] == schedule.created_by
        assert answer["lastError"].startswith(schedule.created_by)
    page = f"/admin/flags/flagschedule/{schedule.pk}/change/"
    of_author = shown(signed_in("viewer", bound_to=cast.acme, name="a").get(page))
    assert f"{cast.oslo.pk}, deleted or outside of your subtree" in of_author
    assert "New Name" not in of_author
    assert "New Name" in shown(signed_in("viewer", bound_to=cast.rival, name="b").get(page))
    for client in ("a", "b"):
        listed = shown(signed_in("viewer", bound_to=cast.acme if client == "a" else cast.rival, name=f"l{client}").get(
            "/admin/flags/flagschedule/"))  # fmt: skip
        assert f"/{schedule.pk}/change/" in listed


def test_a_sibling_that_is_neither_side_does_not_see_it(cast: Cast) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.north))
    api = Api(_key("south", Role.READER, cast.south))
    assert ids(api.get("/v1/schedules")) == []
    assert api.get(f"/v1/schedules/{schedule.pk}").status_code == 404


def test_a_preview_of_a_move_tells_which_changes_will_fail(cast: Cast) -> None:
    for by in (key_of(cast.acme), key_of(cast.north), key_of(cast.oslo), key_of()):
        planned(cast.oslo, by=by, ago=timedelta(days=-1))
    oslo, rival, south = (Organization.objects.get(pk=one.pk) for one in (cast.oslo, cast.rival, cast.south))
    says = "will fail, because the organization leaves the subtree of the author."
    for organization, parent, sentences in (
        (oslo, rival, [f"2 scheduled changes {says}"]), (oslo, None, [f"2 scheduled changes {says}"]),
        (oslo, south, [f"1 scheduled change {says}"]), (south, rival, []),
    ):  # fmt: skip
        said = move_preview.move(PlannedMove(Caller("admin", Role.ADMIN), organization, parent))
        assert said.effects == sentences
    page = shown(signed_in("admin").post(f"/admin/orgs/organization/{oslo.pk}/move/do/", {"parent": rival.key}))
    assert f"2 scheduled changes {says}" in page


def test_the_page_of_a_change_names_the_authors_organization_to_those_who_may_see_it(cast: Cast) -> None:
    schedule = planned(cast.oslo, by=key_of(cast.acme), ago=timedelta(days=-1))
    page = f"/admin/flags/flagschedule/{schedule.pk}/change/"
    assert f"{schedule.created_by}, bound to Acme" in shown(signed_in("viewer", name="all").get(page))
    of_north = shown(signed_in("viewer", bound_to=cast.north, name="n").get(page))
    assert "bound to an organization outside of your subtree" in of_north
    assert "Acme" not in of_north
    api = Api(_key("north", Role.READER, cast.north))
    assert api.get(f"/v1/schedules/{schedule.pk}").json()["authorOrganizationId"] == cast.acme.pk
