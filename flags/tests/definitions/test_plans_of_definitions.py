"""The plan of a change of a definition: how many organizations get another answer, and what makes it stale."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.models import FlagSetting
from flags.states import selectors
from flags.states.exemptions import exempt_on
from flags.states.set_flag import find_and_hold, set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
PATH = "/v1/feature-flags/checkout"
EVERYBODY = 8
"""The organizations of the cast."""


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    Flag.objects.create(key="checkout")
    return Api(admin_key)


def set_(where: Organization, enabled: bool, below: Below = Below.KEEP, **more: Any) -> None:
    set_flag(organization_id=where.pk, flag_key="checkout", enabled=enabled, below=below, **more)
    while runner.run_next("propagation"):
        pass


def planned(api: Api, **values: Any) -> dict[str, Any]:
    answer = api.post(f"{PATH}/plan", values)
    assert answer.status_code == 200, answer.content
    document: dict[str, Any] = answer.json()
    return document


def answers() -> dict[int, tuple[bool, bool]]:
    """For each organization, whether the flag is on, and whether this depends on the user."""
    found = {}
    for organization in Organization.objects.all():
        state = selectors.effective_state(organization=organization, flag_key="checkout")
        found[organization.pk] = (state.enabled, state.value.depends_on_user)
    return found


@pytest.mark.parametrize(
    "values",
    [
        {"killed": True},
        {"archived": True},
        {"enabled": True},
        {"enabled": True, "killed": True},
        {"rolloutPercentage": 0},
        {"rolloutPercentage": 30},
        {"description": "new", "tags": ["a"]},
    ],
)
def test_the_plan_counts_the_organizations_whose_answer_the_change_changes(
    api: Api, cast: Cast, values: dict[str, Any]
) -> None:
    set_(cast.acme, True)
    set_(cast.oslo, True, Below.LOCK)
    set_(cast.north, False, Below.LOCK)
    set_(cast.rival_store, True, Below.LOCK)
    set_(cast.south, False, only_here=True)
    with find_and_hold(cast.oslo.pk) as oslo:
        exempt_on(oslo, flag_key="checkout", may_lift=lambda _: True)
    while runner.run_next("propagation"):
        pass
    before = answers()
    plan = planned(api, **values)
    assert answers() == before, "nothing is written"
    assert api.patch(PATH, values).status_code == 200
    after = answers()
    differing = sum(before[key] != after[key] for key in before)
    assert (plan["organizations"], plan["changed"], plan["unchanged"]) == (EVERYBODY, differing, EVERYBODY - differing)
    assert plan["isEstimate"] is False
    former = {"killed": False, "archived": False, "enabled": False, "rolloutPercentage": None, "description": ""}
    shown_fields = {each["field"]: (each["before"], each["after"]) for each in plan["changes"]}
    assert shown_fields == {name: (former.get(name, []), value) for name, value in values.items()}


def test_the_plan_of_a_whole_definition_takes_the_body_of_put(api: Api, cast: Cast) -> None:
    api.patch(PATH, {"owner": "shop", "enabled": True})
    plan = api.post(f"{PATH}/plan?replace=true", {"description": "anew"}).json()
    assert {each["field"] for each in plan["changes"]} == {"owner", "enabled", "description"}
    assert plan["changed"] == EVERYBODY
    api.put(PATH, {"description": "anew", "planHash": plan["planHash"]})
    assert Flag.objects.get().owner == ""


def test_a_change_that_changes_nothing_has_an_empty_plan(api: Api) -> None:
    plan = planned(api, killed=False)
    assert (plan["changes"], plan["changed"], plan["neededBy"]) == ([], 0, [])


def test_a_rollout_of_organizations_is_estimated(api: Api) -> None:
    api.patch(PATH, {"enabled": True, "rolloutUnit": "organization", "rolloutPercentage": 25})
    plan = planned(api, rolloutPercentage=75)
    assert (plan["changed"], plan["isEstimate"]) == (EVERYBODY // 2, True)
    other = planned(api, salt="another")
    assert (other["changed"], other["isEstimate"]) == (3, True)  # 2 × 25 % × 75 % of 8


def test_prerequisites_make_an_estimate_unless_they_stop_the_flag(api: Api) -> None:
    needed = Flag.objects.create(key="basket", enabled=True)
    api.patch(PATH, {"enabled": True})
    plan = planned(api, prerequisites=["basket"])
    assert (plan["changed"], plan["isEstimate"]) == (EVERYBODY, True)
    service.update(key=needed.key, values={"killed": True}, by="x")
    stopped = planned(api, prerequisites=["basket"])
    assert (stopped["changed"], stopped["isEstimate"]) == (EVERYBODY, True)
    api.patch(PATH, {"prerequisites": ["basket"]})
    assert planned(api, killed=True)["changed"] == 0


def test_the_whitelist_and_targeting_rules_count_wherever_no_lock_decides(api: Api, cast: Cast) -> None:
    set_(cast.acme, False, Below.LOCK)
    rules = [
        {"id": "pro", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "on"}}
    ]
    for values in ({"userWhitelist": ["ada"]}, {"rules": rules}):
        plan = planned(api, **values)
        assert (plan["changed"], plan["isEstimate"]) == (2, True), "Rival and its store"
        api.patch(PATH, values)
        stopped = planned(api, killed=True)
        assert (stopped["changed"], stopped["isEstimate"]) == (2, True)
        assert planned(api, description="text")["changed"] == 0
        api.patch(PATH, {"userWhitelist": [], "rules": []})
    api.patch(PATH, {"enabled": True})
    assert planned(api, userWhitelist=["ada"])["changed"] == 0, "everybody has it already"


COLOR = "/v1/feature-flags/color"
VARIANTS = [{"key": key, "value": key} for key in ("blue", "red")]


def rule(serve: dict[str, Any], value: Any = "pro") -> dict[str, Any]:
    return {"id": "pro", "clauses": [{"attribute": "plan", "op": "in", "values": [value]}], "serve": serve}


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ({"rules": [rule({"rollout": {"blue": 50, "red": 50}})]}, {"salt": "other"}),
        ({"rules": [rule({"rollout": {"blue": 50, "red": 50}})]}, {"hashVersion": 10}),
        ({"rules": [rule({"variant": "red"})]}, {"variants": [VARIANTS[0], {"key": "red", "value": "RED"}]}),
        ({"userWhitelist": ["ada"]}, {"defaultVariant": "red"}),
        ({"rules": [rule({"variant": "red"}, 1)]}, {"rules": [rule({"variant": "red"}, True)]}),
    ],
)
def test_what_a_flag_that_is_off_serves_to_some_users_counts(
    api: Api, cast: Cast, before: dict[str, Any], change: dict[str, Any]
) -> None:
    body = {"name": "color", "type": "string", "variants": VARIANTS, "defaultVariant": "blue", **before}
    assert api.post("/v1/feature-flags", body).status_code == 201
    wanting = {"name": "wanting", "prerequisites": [{"flag": "color", "variant": "red"}]}
    assert api.post("/v1/feature-flags", wanting).status_code == 201
    plan = api.post(f"{COLOR}/plan", change).json()
    assert (plan["changed"], plan["isEstimate"], plan["neededBy"]) == (EVERYBODY, True, ["wanting"])
    assert api.patch(COLOR, {**change, "atMost": 0}).status_code == 409
    unrelated = api.post(f"{COLOR}/plan", {"description": "text"}).json()
    assert (unrelated["changed"], unrelated["neededBy"]) == (0, [])


def test_an_environment_is_told_in_which_another_value_is_served(api: Api, cast: Cast) -> None:
    body = {"name": "color", "type": "string", "variants": VARIANTS, "environments": {"staging": True, "test": False}}
    assert api.post("/v1/feature-flags", body).status_code == 201
    plan = api.post(f"{COLOR}/plan", {"defaultVariant": "red"}).json()
    assert (plan["environments"], plan["changed"]) == (["staging"], 0)


def test_flags_that_need_it_are_named_if_their_answers_may_change(api: Api) -> None:
    for key, needs, archived in (("a", "checkout", False), ("b", "a", False), ("c", "checkout", True)):
        Flag.objects.create(key=key, archived=archived).prerequisites.set([Flag.objects.get(key=needs)])
    api.patch(PATH, {"enabled": True})
    assert planned(api, killed=True)["neededBy"] == ["a", "b"]
    assert planned(api, description="x")["neededBy"] == []
    assert planned(api, userWhitelist=["ada"])["neededBy"] == ["a", "b"]


def test_environments_users_and_open_schedules_are_told(api: Api) -> None:
    api.patch(PATH, {"environments": {"staging": True, "test": False}, "userWhitelist": ["ada", "bo"]})
    body = {"featureFlagName": "checkout", "apply": {"killed": True}, "scheduledAt": "2031-01-31T09:00:00Z"}
    schedule = api.post("/v1/schedules", body).json()["schedules"][0]["id"]
    plan = planned(api, environments={"staging": False, "test": False}, userWhitelist=["bo", "cy", "di"])
    assert (plan["environments"], plan["usersAdded"], plan["usersRemoved"]) == (["staging"], 2, 1)
    assert (plan["openSchedules"], plan["scheduleIds"]) == (1, [schedule])
    words = run("change_flag", "checkout", 'environments={"staging": false}', "--plan").out
    assert "The override of the environments staging, test changes for all organizations." in words
    assert "1 scheduled change of the flag still waits." in words


def test_a_change_with_the_hash_of_its_plan_is_made(api: Api, cast: Cast) -> None:
    set_(cast.oslo, True)
    plan = planned(api, killed=True)
    answer = api.patch(PATH, {"killed": True, "planHash": plan["planHash"], "atMost": 1})
    assert (answer.status_code, answer.json()["killed"]) == (200, True)


def test_a_plan_is_stale_after_a_set_a_change_or_for_another_request_and_says_what_moved(api: Api, cast: Cast) -> None:
    stale = planned(api, killed=True)["planHash"]
    set_(cast.oslo, True)
    answer = api.patch(PATH, {"killed": True, "planHash": stale})
    assert (answer.status_code, kind_of(answer)) == (409, "plan-stale")
    number = FlagSetting.objects.get().number
    moved = f"The setting of the organization {cast.oslo.pk} was changed (change {number})."
    assert moved in answer.json()["detail"]
    stale = planned(api, killed=True)["planHash"]
    api.patch(PATH, {"owner": "shop"})
    assert (
        "The definition has the version 2 now, and had 1."
        in api.patch(PATH, {"killed": True, "planHash": stale}).json()["detail"]
    )
    other = planned(api, enabled=True)["planHash"]
    assert "made for another request" in api.patch(PATH, {"killed": True, "planHash": other}).json()["detail"]
    assert Flag.objects.get().killed is False


@pytest.mark.parametrize("hash_", ["x", "1-2", "9" * 40, "1-1-", "-", "²-1-a"])
def test_any_text_as_the_hash_of_a_plan_is_stale(api: Api, hash_: str) -> None:
    assert kind_of(api.patch(PATH, {"killed": True, "planHash": hash_})) == "plan-stale"


def test_a_change_of_too_many_organizations_is_refused(api: Api, cast: Cast) -> None:
    set_(cast.acme, True)
    assert kind_of(api.patch(PATH, {"killed": True, "atMost": 5})) == "blast-radius"
    assert kind_of(api.delete(f"{PATH}?atMost=5")) == "blast-radius"
    assert kind_of(api.delete(f"{PATH}?planHash=x")) == "plan-stale"
    hash_ = planned(api, archived=True)["planHash"]
    assert api.delete(f"{PATH}?atMost=6&planHash={hash_}").status_code == 200


def test_a_plan_is_refused_like_the_change(api: Api, cast: Cast) -> None:
    assert kind_of(api.post(f"{PATH}/plan", {"rolloutUnit": "ancestor"})) == "invalid-definition"
    assert kind_of(api.post(f"{PATH}/plan", {"prerequisites": ["checkout"]})) == "prerequisite-cycle"
    assert kind_of(api.post("/v1/feature-flags/none/plan", {})) == "flag-not-found"
    bound = Api(AccessKey.objects.create_key(name="b", role=Role.ADMIN, organization=cast.acme)[1])
    assert kind_of(bound.post(f"{PATH}/plan", {"killed": True})) == "outside-of-your-subtree"
    Flag.objects.update(archived=True, purging=True)
    assert kind_of(api.post(f"{PATH}/plan", {"killed": True})) == "flag-purging"


def test_the_cost_of_a_plan_depends_neither_on_organizations_nor_on_settings(api: Api, cast: Cast) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            service.plan(key="checkout", values={"killed": True})
        return len(found)

    set_(cast.acme, True)
    few = queries()
    for where in (cast.oslo, cast.rival, cast.rome):
        set_(where, True)
    assert queries() == few


def test_the_form_is_reviewed_before_it_is_saved(api: Api, cast: Cast) -> None:
    flag = Flag.objects.get()
    set_(cast.acme, True)
    client = signed_in("admin")
    page = f"/admin/flags/flag/{flag.pk}/change/?tab=definition"
    assert f'formaction="/admin/flags/flag/{flag.pk}/review/"' in client.get(page).content.decode()
    fields = {
        "enabled": "", "killed": "on", "rollout_unit": "targetingKey", "kind": "release", "salt": flag.salt,
        "environments": "{}", "reason": "broken", "based_on": flag.revision, "_review": "1",
    }  # fmt: skip
    review = client.post(f"/admin/flags/flag/{flag.pk}/review/", fields)
    text = shown(review)
    assert "killed: false → true" in text
    assert "6 of 8 organizations get another answer." in text
    assert Flag.objects.get().killed is False
    inputs = dict(review.context["inputs"]) | {"_save": "1"}
    assert client.post(page, inputs).status_code == 302
    assert Flag.objects.get().killed is True
    assert AuditEntry.objects.get(action="flag.update").reason == "broken"


def test_the_page_of_a_review_shows_the_errors_of_the_form_and_a_stale_plan_is_refused(api: Api, cast: Cast) -> None:
    flag = Flag.objects.get()
    client = signed_in("admin")
    fields = {
        "killed": "on", "rollout_unit": "ancestor", "kind": "release", "salt": flag.salt, "environments": "{}",
        "reason": "broken", "based_on": flag.revision,
    }  # fmt: skip
    address = f"/admin/flags/flag/{flag.pk}/review/"
    assert "needs a level" in shown(client.post(address, fields | {"_review": "1"}))
    stale = fields | {"rollout_unit": "targetingKey", "plan_hash": "1-1-x"}
    answer = client.post(f"/admin/flags/flag/{flag.pk}/change/?tab=definition", stale, follow=True)
    assert "The plan is out of date." in shown(answer)
    assert Flag.objects.get().killed is False
    assert client.get(address).status_code == 302
    assert signed_in("viewer", name="vic").post(address, fields).status_code == 403


def test_the_pages_and_commands_that_archive_say_what_this_does(api: Api, cast: Cast) -> None:
    set_(cast.acme, True)
    flag = Flag.objects.get()
    client = signed_in("admin")
    assert "6 of 8 organizations get another answer." in shown(client.get(f"/admin/flags/flag/{flag.pk}/archive/do/"))
    lines = run("archive_flag", "checkout", "--plan").lines
    assert lines == [
        "archived: false → true", "6 of 8 organizations get another answer.", "Nothing was written.",
    ]  # fmt: skip
    assert Flag.objects.get().archived is False
    service.archive(key="checkout", by="x")
    assert run("unarchive_flag", "checkout", "--plan", "--json").document["changed"] == 6
