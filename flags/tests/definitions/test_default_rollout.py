"""A definition rolls its variants out by weight where the flag is on and nothing else has chosen one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.evaluation.rollout import bucketing
from flags.schedules.due import apply_due
from flags.schedules.plan import ScheduleRequest
from flags.schedules.steps import Step, plan_steps
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.schedules.plans import OPS
from flags.tests.serving.asking import Asking
from flags.undoing.undo import find
from flagsite.core.db.clock import now
from jobs.engine import runner
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
COLOUR = "/v1/feature-flags/colour"
VARIANTS = [{"key": key, "value": key.upper()} for key in ("blue", "green", "red")]
USERS = [f"user-{number}" for number in range(60)]
HALF = {"rollout": {"green": 50, "red": 50}, "by": "targetingKey"}


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def define(api: Api, rollout: Any = HALF, **others: Any) -> Any:
    body = {"name": "colour", "type": "string", "variants": VARIANTS, "enabled": True, "salt": "s"}
    made = api.post("/v1/feature-flags", {**body, "defaultRollout": rollout, **others})
    assert made.status_code == 201, made.content
    return made.json()


def answers(asking: Asking, **context: Any) -> dict[str, Any]:
    asking = Asking(asking.key)
    return {user: asking.one("colour", targetingKey=user, **context).body["variant"] for user in USERS}


def bucket(user: str, salt: str = "s/variants") -> int:
    return bucketing(salt, "colour").bucket(user.encode())


def split(below: int = 50_000) -> dict[str, str]:
    return {user: "green" if bucket(user) < below else "red" for user in USERS}


def last_change() -> int:
    return int(AuditEntry.objects.latest("id").details["changeNumber"])


def test_each_user_gets_the_variant_that_has_the_bucket_in_place_of_the_default_variant(
    api: Api, asking: Asking
) -> None:
    assert define(api)["defaultRollout"] == HALF
    assert answers(asking) == split()
    answer = asking.one("colour", targetingKey="user-1").body
    assert (answer["value"], answer["reason"], answer["metadata"]) == (
        split()["user-1"].upper(), "SPLIT", {"rule": "default"},
    )  # fmt: skip


def test_without_the_unit_the_default_variant_is_served(api: Api, asking: Asking) -> None:
    define(api)
    answer = asking.one("colour").body
    assert (answer["variant"], answer["reason"]) == ("blue", "STATIC")
    api.patch(COLOUR, {"defaultRollout": {**HALF, "by": "plan"}})
    asking = Asking(asking.key)
    assert asking.one("colour", targetingKey="user-1").body["variant"] == "blue"
    assert asking.one("colour", targetingKey="user-1", plan="pro").body["reason"] == "SPLIT"


def test_explain_has_a_step_with_unit_bucket_and_variant(api: Api) -> None:
    define(api)
    shown_ = api.get(f"{COLOUR}/explain?userId=user-1").json()
    assert (shown_["rule"], shown_["steps"][-1]) == ("default", {
        "rule": "defaultRollout", "outcome": "on",
        "detail": f"The default rollout: 'user-1' is in bucket {bucket('user-1')} of 100000, of "
                  f"{split()['user-1']!r}. It serves the variant {split()['user-1']!r}.",
    })  # fmt: skip
    without = api.get(f"{COLOUR}/explain").json()["steps"][-1]["detail"]
    assert without == (
        "The default rollout counts targeting keys, and the request has none. It serves the variant 'blue'."
    )


def test_the_whitelist_and_an_environment_that_is_on_leave_the_choice_to_it(api: Api, asking: Asking) -> None:
    define(api, enabled=False, userWhitelist=USERS, environments={"staging": True})
    assert answers(asking) == split()
    api.patch(COLOUR, {"userWhitelist": []})
    assert set(answers(asking).values()) == {""}
    assert answers(asking, environment="staging") == split()


def test_a_rule_and_a_setting_that_choose_a_variant_come_first_and_a_lock_is_final(
    api: Api, asking: Asking, cast: Cast
) -> None:
    clause = {"attribute": "plan", "op": "in", "values": ["pro"]}
    define(api, rules=[{"id": "pros", "clauses": [clause], "serve": {"variant": "blue"}}])
    assert set(answers(asking, plan="pro").values()) == {"blue"}
    set_flag(organization_id=cast.oslo.pk, flag_key="colour", enabled=True)
    assert answers(asking, organizationKey="oslo") == split()
    Api(_key("b", Role.EDITOR)).put("/v1/organizations/oslo/flags/colour", {"variant": "blue"})
    while runner.run_next("propagation"):
        pass
    assert set(answers(asking, organizationKey="oslo").values()) == {"blue"}
    set_flag(organization_id=cast.oslo.pk, flag_key="colour", enabled=True, below=Below.LOCK)
    while runner.run_next("propagation"):
        pass
    assert set(answers(asking, organizationKey="oslo").values()) == {"blue"}
    detail = api.get(f"{COLOUR}/explain?userId=user-1&organizationKey=oslo").json()["steps"][-1]["detail"]
    assert "The value is locked for the organization, so the default rollout does not count." in detail


def test_a_change_of_weights_moves_only_who_has_to_move(api: Api, asking: Asking) -> None:
    define(api)
    changed = api.patch(COLOUR, {"defaultRollout": {"rollout": {"red": 30, "green": 50, "blue": 20}}}).json()
    assert changed["defaultRollout"]["ranges"] == [
        {"variant": "green", "below": 50_000}, {"variant": "red", "below": 80_000},
        {"variant": "blue", "below": 100_000},
    ]  # fmt: skip
    after = answers(asking)
    assert {(split()[user], after[user]) for user in USERS if split()[user] != after[user]} == {("red", "blue")}
    same = api.patch(COLOUR, {"defaultRollout": {"rollout": {"red": 30, "green": 50, "blue": 20}}}).json()
    assert same["version"] == changed["version"]
    assert api.send("PUT", COLOUR, {"enabled": True}).json()["defaultRollout"] == changed["defaultRollout"]
    assert api.patch(COLOUR, {"defaultRollout": None}).json()["defaultRollout"] is None
    assert set(answers(asking).values()) == {"blue"}


def test_an_undo_and_a_flag_file_bring_the_buckets_back(api: Api, asking: Asking) -> None:
    define(api)
    before, users, file = api.get(COLOUR).json()["defaultRollout"], answers(asking), api.get("/v1/flag-file").json()
    api.patch(COLOUR, {"defaultRollout": {"rollout": {"green": 60, "red": 40}}})
    api.patch(COLOUR, {"defaultRollout": {"rollout": {"green": 20, "red": 80}}})
    assert api.send("POST", "/v1/flag-file", file).status_code == 200
    assert (api.get(COLOUR).json()["defaultRollout"], answers(asking)) == (before, users)
    find(OPS, last_change()).undo(reason="wrong")
    changed = api.get(COLOUR).json()["defaultRollout"]
    assert changed["rollout"] == {"green": 20, "red": 80}
    find(OPS, last_change()).undo(reason="wrong")
    assert (api.get(COLOUR).json()["defaultRollout"], answers(asking)) == (before, users)


def test_the_past_is_explained_with_the_rollout_of_then(api: Api) -> None:
    define(api)
    number = AuditEntry.objects.latest("id").at.isoformat()
    api.patch(COLOUR, {"defaultRollout": {"rollout": {"green": 100}}})
    then = [api.get(f"{COLOUR}/explain", userId=user, at=number).json()["variant"] for user in USERS[:9]]
    assert then == list(split().values())[:9]


def test_steps_of_a_rollout_are_scheduled_and_the_audit_log_tells_them(api: Api, asking: Asking) -> None:
    define(api)
    wanted = [{"defaultRollout": {"rollout": {"green": share, "red": 100 - share}}} for share in (60, 90)]
    plan_steps(OPS, ScheduleRequest("colour"), [Step(wanted[0]), Step(wanted[1], timedelta(hours=1))], at=now())
    apply_due()
    after = answers(asking)
    assert {(split()[user], after[user]) for user in USERS if split()[user] != after[user]} == {("red", "green")}
    details = AuditEntry.objects.filter(action="flag.update").latest("id").details
    assert (details["before"]["defaultRollout"], details["after"]["defaultRollout"]["rollout"]) == (
        HALF, {"green": 60, "red": 40},
    )  # fmt: skip
    refused = api.patch(COLOUR, {"variants": VARIANTS[:2]})
    assert {each["place"] for each in refused.json()["places"]} == {"defaultRollout", "schedule"}


def test_a_variant_with_a_weight_is_not_removed(api: Api) -> None:
    define(api)
    refused = api.patch(COLOUR, {"variants": VARIANTS[:2]})
    assert (refused.status_code, refused.json()["places"]) == (
        409, [{"place": "defaultRollout", "variant": "red"}],
    )  # fmt: skip
    together = {"variants": VARIANTS[:2], "defaultRollout": {"rollout": {"green": 100}}}
    assert api.patch(COLOUR, together).status_code == 200


@pytest.mark.parametrize(
    "rollout",
    [
        {"rollout": {"purple": 100}}, {"rollout": {"red": 50}}, {"variant": "red"}, {}, [], "red", 5, True,
        {"rollout": {"red": 100}, "by": "ancestor"}, {"rollout": {"red": 100}, "hashVersion": 99},
        {"rollout": {"red": 100}, "id": "x"}, {"rollout": 5}, {"rollout": {"red": 100}, "ranges": []},
    ],
)  # fmt: skip
def test_nonsense_is_refused(api: Api, rollout: Any) -> None:
    define(api)
    refused = api.patch(COLOUR, {"defaultRollout": rollout})
    assert (refused.status_code, Flag.objects.get(key="colour").version) == (400, 1), refused.content


def test_a_boolean_flag_takes_none_and_is_shown_its_percentage(api: Api) -> None:
    refused = api.post("/v1/feature-flags", {"name": "sale", "defaultRollout": {"rollout": {"on": 50, "off": 50}}})
    assert (refused.status_code, kind_of(refused)) == (400, "invalid-definition")
    assert "`rolloutPercentage`" in refused.json()["detail"]


def test_a_bound_key_does_not_see_it(api: Api, cast: Cast) -> None:
    define(api, {**HALF, "salt": "secret"})
    set_flag(organization_id=cast.oslo.pk, flag_key="colour", enabled=True)
    bound = Api(_key("bound", Role.READER, cast.acme)).get(COLOUR).json()
    assert bound["defaultRollout"] is None


def test_the_pages_tell_it_in_words(api: Api) -> None:
    define(api)
    flag = Flag.objects.get(key="colour")
    words = "green for 50 %, red for 50 % of users"
    assert words in shown(signed_in("viewer", name="una").get(f"/admin/flags/flag/{flag.pk}/change/"))
    assert words in shown(signed_in("viewer", name="ola").get(f"/admin/flags/flag/{flag.pk}/change/?tab=definition"))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"rollout": {"blue": 100}}, None, (0, False)),
        (None, HALF, (8, False)),
        (HALF, {"rollout": {"green": 60, "red": 40}}, (8, False)),
        ({**HALF, "by": "organization"}, {"rollout": {"green": 75, "red": 25}, "by": "organization"}, (2, True)),
        ({**HALF, "by": "organization"}, {**HALF, "by": "organization", "salt": "other"}, (4, True)),
        (HALF, {**HALF, "salt": "other"}, (8, False)),
    ],
)
def test_the_plan_counts_the_organizations_in_which_somebody_moves(
    api: Api, cast: Cast, before: Any, after: Any, expected: tuple[int, bool]
) -> None:
    define(api, before)
    plan = api.post(f"{COLOUR}/plan", {"defaultRollout": after}).json()
    assert (plan["organizations"], plan["changed"], plan["isEstimate"]) == (8, *expected)


def test_the_plan_knows_where_it_counts(api: Api, cast: Cast) -> None:
    define(api, HALF, defaultVariant="blue")
    set_flag(organization_id=cast.acme.pk, flag_key="colour", enabled=True, below=Below.LOCK)
    set_flag(organization_id=cast.rival.pk, flag_key="colour", enabled=False, below=Below.KEEP)
    while runner.run_next("propagation"):
        pass
    plan = api.post(f"{COLOUR}/plan", {"defaultRollout": {"rollout": {"red": 100}}}).json()
    assert plan["changed"] == 0, "acme's lock is final, and rival has it off"
    api.patch(COLOUR, {"userWhitelist": ["ada"]})
    plan = api.post(f"{COLOUR}/plan", {"defaultRollout": {"rollout": {"red": 100}}}).json()
    assert (plan["changed"], plan["isEstimate"]) == (2, True), "rival's organizations have whitelisted users, perhaps"
