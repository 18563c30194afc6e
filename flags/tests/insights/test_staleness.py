"""Which flags should go: nobody evaluates them, they are the same for everybody, or past their day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Cast
from flags.definitions.models import Flag
from flags.insights.adoption_counts import count_adoption
from flags.insights.models import FlagAdoption, FlagUse, FlagUseTotal
from flags.insights.staleness import stale_flags
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from jobs.engine.runner import run_next
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.commands import run
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
EVERYTHING = Caller("test", Role.READER)


NOW = timezone.now()
"""One moment for all that is long ago, so that midnight cannot come between two of them."""


def ago(days: float) -> Any:
    return NOW - timedelta(days=days)


def made(key: str, *, age: float = 100, **fields: Any) -> Flag:
    """A flag of so many days."""
    flag = Flag.objects.create(key=key, **fields)
    Flag.objects.filter(pk=flag.pk).update(created_at=ago(age), updated_at=ago(age))
    flag.refresh_from_db()
    return flag


def used(flag: Flag | None, *, last: float, first: float = 90) -> None:
    """The flag, or all, were first and last evaluated so many days ago."""
    FlagUseTotal.objects.create(
        flag_id=flag.pk if flag else 0, evaluations=1, first_evaluated_at=ago(first), last_evaluated_at=ago(last)
    )


def put(organization: Organization, flag: Flag, *, enabled: bool) -> None:
    set_flag(organization_id=organization.pk, flag_key=flag.key, enabled=enabled)
    while run_next("propagation"):
        pass


def settle(flag: Flag, *, days: float) -> None:
    """Let all that was done to the flag have happened so long ago."""
    FlagState.objects.filter(flag=flag).update(updated_at=ago(days))
    Change.objects.filter(flag=flag).update(created_at=ago(days))
    count_adoption()


def reasons() -> dict[str, list[str]]:
    return {stale.flag.key: [reason.cause.value for reason in stale.reasons] for stale in stale_flags(EVERYTHING)}


def words(key: str) -> list[str]:
    return [reason.words for stale in stale_flags(EVERYTHING) if stale.flag.key == key for reason in stale.reasons]


# --- not evaluated ---------------------------------------------------------------------------------------------------
def test_a_flag_that_nobody_evaluates_is_stale(cast: Cast) -> None:
    asked, forgotten, never = made("asked"), made("forgotten"), made("never")
    used(asked, last=1)
    used(forgotten, last=31)
    assert reasons() == {"forgotten": ["unused"], "never": ["unused"]}
    assert words("forgotten") == [f"Nobody has evaluated the flag since {ago(31):%Y-%m-%d}."]
    assert words("never") == ["Nobody has ever evaluated the flag."]
    assert never.pk


def test_an_evaluation_of_all_flags_is_one_of_each(cast: Cast) -> None:
    used(made("forgotten"), last=80)
    used(None, last=2)
    assert reasons() == {}


def test_a_flag_made_after_all_were_last_evaluated_was_never_evaluated(cast: Cast) -> None:
    before, after = made("before", age=90), made("after", age=70)
    used(None, last=80)
    assert reasons() == {"after": ["unused"], "before": ["unused"]}
    assert words(before.key) == [f"Nobody has evaluated the flag since {ago(80):%Y-%m-%d}."]
    assert words(after.key) == ["Nobody has ever evaluated the flag."]


def test_a_young_flag_is_not_expected_to_be_evaluated_yet(cast: Cast) -> None:
    made("young", age=29)
    used(made("asked"), last=1)
    assert reasons() == {}


def test_nothing_is_called_unused_before_evaluations_were_counted_for_so_long(cast: Cast) -> None:
    made("old")
    used(made("asked"), last=1, first=29)
    assert reasons() == {}


# --- the same for everybody ------------------------------------------------------------------------------------------
def test_a_flag_that_is_the_same_for_all_for_long_is_stale(cast: Cast) -> None:
    flag = made("everywhere")
    for root in (cast.acme, cast.rival):
        put(root, flag, enabled=True)
    settle(flag, days=29)
    assert reasons() == {}
    FlagAdoption.objects.all().delete()
    settle(flag, days=31)
    assert reasons() == {"everywhere": ["settled"]}
    assert words("everywhere") == [f"The flag has been on for every organization since {ago(31):%Y-%m-%d}."]
    assert stale_flags(EVERYTHING)[0].minority == ""


def test_one_organization_that_differs_keeps_it(cast: Cast) -> None:
    flag = made("nearly")
    for root in (cast.acme, cast.rival):
        put(root, flag, enabled=True)
    put(cast.oslo, flag, enabled=False)
    settle(flag, days=50)
    assert reasons() == {}


def test_organizations_where_nobody_set_it_have_its_default(cast: Cast) -> None:
    for by_default in (False, True):
        for enabled in (False, True):
            flag = made(f"by-default-{by_default}-for-acme-{enabled}", enabled=by_default)
            put(cast.acme, flag, enabled=enabled)
            settle(flag, days=50)
    assert reasons() == {f"by-default-{same}-for-acme-{same}": ["settled"] for same in (False, True)}


@pytest.mark.parametrize("kind", [Flag.Kind.OPERATIONAL, Flag.Kind.PERMISSION])
def test_switches_and_permissions_may_stay_the_same(cast: Cast, kind: Flag.Kind) -> None:
    settle(made("stays", kind=kind), days=50)
    assert reasons() == {}


def test_a_flag_that_reaches_some_users_is_not_settled(cast: Cast) -> None:
    settle(made("half", enabled=True, rollout_percentage=50), days=50)
    settle(made("friends", whitelist=["alice"]), days=50)
    rules = [{"id": "r", "clauses": [{"op": "level", "values": [1]}], "serve": {"variant": "on"}}]
    settle(made("by-rule", targeting_rules=rules), days=50)
    settle(made("off-by-rule", enabled=True, targeting_rules=rules), days=50)
    settle(made("none", enabled=True, rollout_percentage=0), days=50)
    settle(made("all", enabled=True, rollout_percentage=100, whitelist=["alice"]), days=50)
    assert reasons() == {"all": ["settled"], "none": ["settled"]}


def test_a_flag_with_variants_that_is_on_is_not_settled_since_organizations_may_have_other_variants(cast: Cast) -> None:
    typed = {"type": "string", "variants": [{"key": "blue", "value": "#00f", "number": 1}]}
    settle(made("on", enabled=True, **typed), days=50)
    settle(made("off", **typed), days=50)
    assert reasons() == {"off": ["settled"]}


def test_an_environment_that_forces_the_other_value_keeps_it(cast: Cast) -> None:
    settle(made("off-in-production", enabled=True, environments={"production": False}), days=50)
    settle(made("on-in-staging", environments={"production": False, "staging": True}), days=50)
    settle(made("on-and-forced-on", enabled=True, environments={"staging": True}), days=50)
    settle(made("off-and-forced-off", environments={"staging": False}), days=50)
    assert reasons() == {"on-and-forced-on": ["settled"], "off-and-forced-off": ["settled"]}


def test_a_flag_that_is_on_waits_for_its_prerequisites_to_go(cast: Cast) -> None:
    needed, on, off = made("needed", kind=Flag.Kind.PERMISSION), made("on", enabled=True), made("off")
    for flag in (on, off):
        flag.prerequisites.add(needed, made(f"{flag.key}-too", kind=Flag.Kind.PERMISSION))
        settle(flag, days=50)
    assert reasons() == {"off": ["settled"]}


def test_what_is_killed_is_off_for_all_whatever_else_is_set(cast: Cast) -> None:
    killed = made("killed", enabled=True, killed=True, whitelist=["alice"], environments={"staging": True})
    put(cast.oslo, killed, enabled=False)
    settle(killed, days=1)
    assert reasons() == {"killed": ["settled"]}
    assert words("killed") == [f"The flag has been off for every organization since {killed.updated_at:%Y-%m-%d}."]


def test_what_is_rolled_out_to_nobody_is_off_for_all(cast: Cast) -> None:
    nobody = made("nobody", enabled=True, rollout_percentage=0)
    for key, fields in {"friends": {"whitelist": ["alice"]}, "staging": {"environments": {"staging": True}}}.items():
        settle(made(key, enabled=True, rollout_percentage=0, **fields), days=50)
    assert reasons() == {"nobody": ["settled"]}
    assert words("nobody") == [f"The flag has been off for every organization since {nobody.updated_at:%Y-%m-%d}."]


def test_what_changes_nothing_does_not_make_it_young_again(cast: Cast) -> None:
    flag = made("everywhere")
    for root in (cast.acme, cast.rival):
        put(root, flag, enabled=True)
    settle(flag, days=50)
    FlagAdoption.objects.update(counted_at=ago(1))
    put(cast.north, flag, enabled=True)
    tree_operations.create(name="New", key="new", parent_id=cast.south.pk)
    count_adoption()
    assert reasons() == {"everywhere": ["settled"]}


def test_a_change_that_was_taken_back_between_two_counts_does(cast: Cast) -> None:
    flag = made("everywhere")
    for root in (cast.acme, cast.rival):
        put(root, flag, enabled=True)
    settle(flag, days=50)
    FlagAdoption.objects.update(counted_at=ago(1))
    put(cast.oslo, flag, enabled=False)
    put(cast.oslo, flag, enabled=True)
    count_adoption()
    assert reasons() == {}


# --- past its day, and the rest --------------------------------------------------------------------------------------
def test_a_flag_past_its_day_is_stale_however_young(cast: Cast) -> None:
    today = timezone.now().date()
    made("past", age=1, expires_on=today - timedelta(days=1))
    made("today", age=1, expires_on=today)
    assert reasons() == {"past": ["expired"]}
    assert words("past") == [f"The flag expired on {today - timedelta(days=1)}."]


def test_archived_flags_are_gone_already(cast: Cast) -> None:
    settle(made("archived", archived=True, expires_on=ago(10).date()), days=50)
    used(None, last=40)
    assert reasons() == {}


def test_minorities_are_named_by_where_the_value_was_set(cast: Cast) -> None:
    flag = made("past", expires_on=ago(10).date())
    for root in (cast.acme, cast.rival):
        put(root, flag, enabled=True)
    for top in (cast.north, cast.rome):
        put(top, flag, enabled=False)
    count_adoption()
    assert stale_flags(EVERYTHING)[0].minority == "on for 50 %, off for 4 under 2 parents (North, Rome)"


def test_minorities_by_default_are_counted(cast: Cast) -> None:
    flag = made("past", expires_on=ago(10).date())
    put(cast.acme, flag, enabled=True)
    count_adoption()
    assert stale_flags(EVERYTHING)[0].minority == "on for 75 %, off for 2, 2 of them by default"


def test_uses_of_what_is_gone_are_swept_away(cast: Cast) -> None:
    kept = made("kept")
    for flag_id, organization_id in ((kept.pk, cast.oslo.pk), (kept.pk, 0), (0, 0), (4711, 0), (kept.pk, 4711)):
        FlagUse.objects.create(
            flag_id=flag_id, organization_id=organization_id, evaluations=1, last_evaluated_at=timezone.now()
        )
    count_adoption()
    assert set(FlagUse.objects.values_list("flag_id", "organization_id")) == {
        (kept.pk, cast.oslo.pk), (kept.pk, 0), (0, 0),
    }  # fmt: skip


@pytest.mark.parametrize("flags", [1, 30])
def test_the_list_takes_three_queries_however_many_flags_there_are(cast: Cast, flags: int) -> None:
    for number in range(flags):
        put(cast.oslo, made(f"f{number}", expires_on=ago(10).date()), enabled=True)
    count_adoption()
    with CaptureQueriesContext(connection) as queries:
        assert len(stale_flags(EVERYTHING)) == flags
    assert len(queries) == 3


# --- the command -----------------------------------------------------------------------------------------------------
def test_the_command_fails_for_ci_when_there_are_any(cast: Cast) -> None:
    assert (run("flags_stale", "--fail").out, run("flags_stale", "--fail").status) == (
        "No flag is stale. The period is 30 days.\n", 0,
    )  # fmt: skip
    made("past", expires_on=ago(10).date(), owner="team-a")
    assert run("flags_stale").status == 0
    ran = run("flags_stale", "--fail")
    assert ran.status == 1
    assert ran.lines[1].split()[:2] == ["past", "team-a"]
    document = run("flags_stale", "--fail", "--json", "--days", "7").document
    assert document["days"] == 7
    assert document["results"][0]["name"] == "past"
    assert document["results"][0]["reasons"][-1]["reason"] == "expired"
    assert run("flags_stale", "--days", "0").status != 0
