"""A targeting rule rolls the variants of a flag out by weight, and a change of the weights moves few users."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import _key
from flags.definitions.models import Flag
from flags.evaluation.rollout import bucketing
from flags.tests.serving.asking import Asking
from flags.undoing.undo import find
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db
COLOUR = "/v1/feature-flags/colour"
VARIANTS = [{"key": key, "value": key.upper()} for key in ("blue", "green", "red")]
USERS = [f"user-{number}" for number in range(60)]


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def rules(weights: dict[str, float], **others: Any) -> list[dict[str, Any]]:
    clause = {"attribute": "targetingKey", "op": "exists"}
    return [{"id": "split", "clauses": [clause], "serve": {"rollout": weights, "by": "targetingKey", **others}}]


def define(api: Api, weights: dict[str, float], **others: Any) -> Any:
    body = {"name": "colour", "type": "string", "variants": VARIANTS, "enabled": True, "salt": "s"}
    made = api.post("/v1/feature-flags", {**body, "rules": rules(weights, **others)})
    assert made.status_code == 201, made.content
    return made.json()


def served(asking: Asking) -> dict[str, str]:
    asking = Asking(asking.key)
    return {user: asking.one("colour", targetingKey=user).body["variant"] for user in USERS}


def bucket(user: str) -> int:
    return bucketing("s", "colour").bucket(user.encode())


def test_each_user_gets_the_variant_that_has_the_bucket(api: Api, asking: Asking) -> None:
    assert define(api, {"red": 30, "blue": 70})["rules"] == rules({"red": 30, "blue": 70})
    assert served(asking) == {user: "blue" if bucket(user) < 70_000 else "red" for user in USERS}
    answer = asking.one("colour", targetingKey="user-1").body
    assert (answer["value"], answer["metadata"]) == ("RED", {"rule": "targeting", "ruleId": "split"})
    step = api.get(f"{COLOUR}/explain?userId=user-1").json()["steps"][-1]
    assert step["detail"] == (
        f"The targeting rule 'split' matches: 'user-1' is in bucket {bucket('user-1')} of 100000, of 'red'. "
        "It serves the variant 'red'."
    )


def test_a_change_of_weights_moves_only_who_has_to_move(api: Api, asking: Asking) -> None:
    define(api, {"red": 50, "blue": 50})
    before = served(asking)
    changed = api.patch(COLOUR, {"rules": rules({"red": 30, "blue": 50, "green": 20})}).json()
    assert changed["rules"][0]["serve"]["ranges"] == [
        {"variant": "blue", "below": 50_000}, {"variant": "red", "below": 80_000},
        {"variant": "green", "below": 100_000},
    ]  # fmt: skip
    after = served(asking)
    assert {(before[user], after[user]) for user in USERS if before[user] != after[user]} == {("red", "green")}
    assert {user for user in USERS if bucket(user) >= 80_000} == {user for user in USERS if after[user] == "green"}


def test_the_same_weights_without_ranges_change_nothing(api: Api) -> None:
    define(api, {"red": 50, "blue": 50})
    api.patch(COLOUR, {"rules": rules({"red": 30, "blue": 70})})
    ranges = api.patch(COLOUR, {"rules": rules({"red": 40, "blue": 60})}).json()["rules"][0]["serve"]["ranges"]
    same = api.patch(COLOUR, {"rules": rules({"red": 40.0, "blue": 60})}).json()
    assert (same["version"], same["rules"][0]["serve"]["ranges"]) == (3, ranges)
    assert api.send("PUT", COLOUR, same).json()["version"] == 3


def test_an_undo_brings_the_ranges_back(api: Api, asking: Asking) -> None:
    define(api, {"red": 50, "blue": 50})
    api.patch(COLOUR, {"rules": rules({"red": 30, "blue": 70})})
    before, users = api.get(COLOUR).json()["rules"], served(asking)
    api.patch(COLOUR, {"rules": rules({"green": 100})})
    number = AuditEntry.objects.latest("id").details["changeNumber"]
    find(Caller("command:ops@host", Role.ADMIN), number).undo(reason="wrong")
    assert (api.get(COLOUR).json()["rules"], served(asking)) == (before, users)


def test_an_undo_brings_back_the_first_ranges_too(api: Api, asking: Asking) -> None:
    define(api, {"red": 50, "blue": 50})
    before, users = api.get(COLOUR).json()["rules"], served(asking)
    api.patch(COLOUR, {"rules": rules({"red": 60, "blue": 40})})
    api.patch(COLOUR, {"rules": rules({"red": 30, "blue": 70}, salt="other")})
    numbers = [entry.details["changeNumber"] for entry in AuditEntry.objects.order_by("-id")[:2]]
    for number in numbers:
        find(Caller("command:ops@host", Role.ADMIN), number).undo(reason="wrong")
    assert (api.get(COLOUR).json()["rules"], served(asking)) == (before, users)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_flag_file_brings_the_buckets_back_that_it_was_written_with(api: Api, asking: Asking, method: str) -> None:
    define(api, {"red": 50, "blue": 50})
    before, users, file = api.get(COLOUR).json()["rules"], served(asking), api.get("/v1/flag-file").json()
    api.patch(COLOUR, {"rules": rules({"red": 60, "blue": 40})})
    assert api.send(method, "/v1/flag-file", file).status_code == 200
    assert (api.get(COLOUR).json()["rules"], served(asking)) == (before, users)


def test_a_variant_that_is_called_on_belongs_to_a_typed_flag_without_off(api: Api) -> None:
    variants = [{"key": key, "value": key} for key in ("on", "blue")]
    body = {"name": "word", "type": "string", "variants": variants, "rules": rules({"on": 100})}
    assert api.post("/v1/feature-flags", body).json()["rules"] == rules({"on": 100})
    boolean = api.post("/v1/feature-flags", {"name": "sale", "rules": rules({"on": 100})}).json()
    assert boolean["rules"] == rules({"on": 100, "off": 0})
    assert api.patch("/v1/feature-flags/sale", {"rules": rules({"on": 100})}).json()["version"] == boolean["version"]


def test_ranges_of_a_request_are_where_its_change_starts(api: Api) -> None:
    ranges = [{"variant": "red", "below": 40_000}, {"variant": "blue", "below": 100_000}]
    assert define(api, {"red": 40, "blue": 60}, ranges=ranges)["rules"][0]["serve"]["ranges"] == ranges
    shown = api.patch(COLOUR, {"rules": rules({"red": 30, "blue": 70}, ranges=ranges)}).json()
    assert shown["rules"][0]["serve"]["ranges"] == [
        {"variant": "red", "below": 30_000}, {"variant": "blue", "below": 100_000},
    ]  # fmt: skip


def test_a_rule_may_count_as_another_product_does(api: Api, asking: Asking) -> None:
    define(api, {"red": 42, "blue": 58}, salt="hashKey.saltyA", hashVersion=4, ranges=[
        {"variant": "red", "below": 42_000}, {"variant": "blue", "below": 100_000},
    ])  # fmt: skip
    served_ = {user: asking.one("colour", targetingKey=user).body["variant"] for user in ("userKeyA", "userKeyC")}
    assert served_ == {"userKeyA": "blue", "userKeyC": "red"}  # buckets 42157 and 10343


def test_a_boolean_rollout_stays_a_threshold_and_may_have_a_salt_of_its_own(api: Api, asking: Asking) -> None:
    half = rules({"on": 50, "off": 50}, salt="s", ranges=[{"variant": "off", "below": 100_000}])
    made = api.post("/v1/feature-flags", {"name": "colour", "enabled": True, "rules": half, "salt": "other"}).json()
    assert made["rules"] == rules({"on": 50, "off": 50}, salt="s")
    assert served(asking) == {user: "on" if bucket(user) < 50_000 else "off" for user in USERS}


@pytest.mark.parametrize(
    "serve",
    [
        {"rollout": {"purple": 100}}, {"rollout": {"red": 50}}, {"rollout": {"red": 99.9999, "blue": 0.0001}},
        {"rollout": {}}, {"rollout": {"": 100}}, {"rollout": {"red": 100}, "ranges": []},
        {"rollout": {"red": 100}, "ranges": [{"variant": "red", "below": 5}]}, {"rollout": {"red": 100}, "salt": 1},
        {"rollout": {"red": 100}, "hashVersion": 99}, {"rollout": {"red": 100}, "hashVersion": True},
        {"rollout": {"red": 100}, "salt": "x" * 401}, {"rollout": {"red": 100}, "variant": "red"},
    ],
)  # fmt: skip
def test_nonsense_is_refused(api: Api, serve: dict[str, Any]) -> None:
    define(api, {"red": 100})
    clause = {"attribute": "targetingKey", "op": "exists"}
    refused = api.patch(COLOUR, {"rules": [{"id": "split", "clauses": [clause], "serve": serve}]})
    assert (refused.status_code, Flag.objects.get(key="colour").version) == (400, 1), refused.content


def test_a_variant_with_a_weight_is_not_removed(api: Api) -> None:
    define(api, {"red": 50, "blue": 50})
    refused = api.patch(COLOUR, {"variants": VARIANTS[:2]})
    assert (refused.status_code, refused.json()["places"]) == (
        409, [{"place": "rule", "variant": "red", "ruleId": "split"}],
    )  # fmt: skip
