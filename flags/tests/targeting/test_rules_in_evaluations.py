"""Targeting rules as clients, Django code and people meet them."""

from __future__ import annotations

from typing import Any

import pytest
from openfeature.evaluation_context import EvaluationContext

from conftest import Cast, _key
from flags.client import asking_for, is_enabled
from flags.definitions import service
from flags.definitions.models import Flag
from flags.openfeature_provider import FlagsiteProvider
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.serving.asking import Asking
from orgs.access.models import Role
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db
PROS = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "on"}}
NORTH_OFF = {"id": "north", "clauses": [{"op": "inSubtree", "values": ["north"]}], "serve": {"variant": "off"}}


@pytest.fixture
def flag(cast: Cast) -> Flag:
    return service.create(key="new-ui", values={"targeting_rules": [PROS]}, by="user:olga")


def change(*rules: dict[str, Any], **values: Any) -> None:
    service.update(key="new-ui", values={"targeting_rules": list(rules), **values}, by="user:olga")


def test_a_user_with_the_attribute_gets_the_flag_and_the_answer_names_the_rule(flag: Flag, asking: Asking) -> None:
    assert asking.one("new-ui", targetingKey="ann", plan="pro").body == {
        "key": "new-ui", "reason": "TARGETING_MATCH", "value": True, "variant": "on",
        "metadata": {"rule": "targeting", "ruleId": "pros"},
    }  # fmt: skip
    assert asking.one("new-ui", targetingKey="ann", plan="free").body["value"] is False
    assert asking.one("new-ui", targetingKey="ann").body["value"] is False
    (entry,) = asking.all(targetingKey="ann", plan="pro").body["flags"]
    assert (entry["value"], entry["metadata"]["ruleId"]) == (True, "pros")


def test_where_no_rule_matches_the_default_is_no_longer_static(cast: Cast, flag: Flag, asking: Asking) -> None:
    Flag.objects.create(key="plain")
    by_key = {entry["key"]: entry for entry in asking.all(targetingKey="ann", plan="free").body["flags"]}
    assert (by_key["new-ui"]["reason"], by_key["plain"]["reason"]) == ("DEFAULT", "STATIC")
    assert by_key["new-ui"]["metadata"] == {"rule": "default"}
    read = Api(_key("reader", Role.READER)).get(f"/{cast.oslo.pk}/new-ui").json()["featureFlag"]
    assert (read["reason"], read["rule"]) == ("DEFAULT", "default")
    details = FlagsiteProvider().resolve_boolean_details("new-ui", True, EvaluationContext("ann", {"plan": "free"}))
    assert (details.value, details.reason) == (False, "DEFAULT")


def test_the_first_rule_that_matches_decides_before_the_organization_and_after_the_whitelist(
    cast: Cast, flag: Flag, asking: Asking
) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=True)
    change(NORTH_OFF, PROS, whitelist=["vip"])

    def says(**context: Any) -> tuple[bool, str]:
        found = asking.one("new-ui", **context).body
        return found["value"], found["metadata"].get("ruleId", found["metadata"]["rule"])

    asking.cache.reload_definitions()
    assert says(organizationKey="oslo", targetingKey="ann", plan="pro") == (False, "north")
    assert says(organizationKey="oslo", targetingKey="vip", plan="pro") == (True, "whitelist")
    assert says(organizationKey="south", targetingKey="ann", plan="pro") == (True, "pros")
    assert says(organizationKey="south", targetingKey="ann") == (False, "default")


def test_a_lock_counts_before_targeting_rules(cast: Cast, flag: Flag, asking: Asking) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=False, below=Below.LOCK)
    found = asking.one("new-ui", organizationKey="oslo", targetingKey="ann", plan="pro").body
    assert (found["value"], found["metadata"]["rule"]) == (False, "organization")


def test_a_rollout_of_a_rule_takes_the_users_of_the_published_buckets(flag: Flag, asking: Asking) -> None:
    change(
        {**PROS, "serve": {"rollout": {"on": 30, "off": 70}, "by": "targetingKey"}}, rollout_percentage=30, enabled=True
    )
    users = [f"user-{number}" for number in range(60)]
    by_rule = [asking.one("new-ui", targetingKey=user, plan="pro").body["value"] for user in users]
    by_flag = [asking.one("new-ui", targetingKey=user).body["value"] for user in users]
    assert by_rule == by_flag
    assert set(by_rule) == {True, False}


def test_the_tag_of_an_answer_depends_on_the_attributes_that_rules_read_and_on_no_others(
    flag: Flag, asking: Asking
) -> None:
    change(PROS, {**PROS, "id": "big", "clauses": [{"attribute": "company.size", "op": "gt", "values": [9]}]})
    asking.cache.reload_definitions()

    def tag(**context: Any) -> str:
        return asking.all(targetingKey="ann", **context).headers["ETag"]

    usual = tag(plan="pro", company={"size": 5, "name": "a"}, seat=1)
    assert tag(company={"name": "b", "size": 5}, seat=2, plan="pro", extra=[1]) == usual
    others = {tag(plan="free", company={"size": 5}), tag(plan="pro", company={"size": 6}), tag(plan="pro"), tag()}
    assert len(others | {usual}) == 5
    assert (
        asking.all(headers={"If-None-Match": usual}, targetingKey="ann", plan="pro", company={"size": 5}).status == 304
    )
    changed = asking.all(headers={"If-None-Match": usual}, targetingKey="ann", plan="free", company={"size": 5})
    assert (changed.status, changed.body["flags"][0]["value"]) == (200, False)


@pytest.mark.parametrize("plan", ["pro\ud83d", 10**30, [1, {"a": None}], {"deep": [[[]]]}])
def test_no_attribute_fails_an_evaluation(flag: Flag, asking: Asking, plan: Any) -> None:
    answer = asking.all(targetingKey="ann", plan=plan)
    assert (answer.status, answer.body["flags"][0]["value"]) == (200, False)
    assert asking.one("new-ui", targetingKey="ann", plan=plan).status == 200


def test_django_code_and_the_provider_give_attributes(flag: Flag) -> None:
    assert is_enabled("new-ui", attributes={"plan": "pro"})
    assert not is_enabled("new-ui")
    with asking_for(user_id="ann", attributes={"plan": "pro"}):
        assert is_enabled("new-ui")
        assert not is_enabled("new-ui", attributes={"plan": "free"})
    details = FlagsiteProvider().resolve_boolean_details("new-ui", False, EvaluationContext("ann", {"plan": "pro"}))
    assert (details.value, details.flag_metadata["ruleId"]) == (True, "pros")


def test_a_read_of_an_organization_says_that_users_differ(cast: Cast, flag: Flag) -> None:
    api = Api(_key("reader", Role.READER))
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=False)

    def read() -> tuple[bool, bool, str]:
        found = api.get(f"/{cast.oslo.pk}/new-ui").json()["featureFlag"]
        return found["enabled"], found["dependsOnUser"], found["rule"]

    assert read() == (False, True, "organization")
    change(NORTH_OFF, PROS)
    assert read() == (False, False, "targeting")
    change({**NORTH_OFF, "clauses": [{"op": "inSubtree", "values": ["south"]}]}, {**NORTH_OFF, "id": "b"})
    assert read() == (False, False, "targeting")


def test_explain_shows_each_clause_with_what_it_compared_and_nothing_to_bound_callers(cast: Cast, flag: Flag) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=False)
    change(NORTH_OFF | {"clauses": [*NORTH_OFF["clauses"], {"attribute": "age", "op": "lt", "values": [18]}]}, PROS)
    question = {"organizationKey": "oslo", "userId": "ann", "attributes": {"plan": "pro", "age": "12"}}
    found = Api(_key("reader", Role.READER)).post("/v1/feature-flags/new-ui/explain", question).json()
    assert (found["enabled"], found["rule"], found["ruleId"]) == (True, "targeting", "pros")
    north, pros = found["rules"]
    assert [(clause["compared"], clause["matches"], clause["why"]) for clause in north["clauses"]] == [
        (["acme", "north", "oslo"], True,
         'The path of the organization is ["acme","north","oslo"]: inSubtree ["north"] matches.'),
        ("12", False, "The attribute 'age' is \"12\": lt [18] does not match."),
    ]  # fmt: skip
    assert (north["matches"], pros["matches"], pros["clauses"][0]["compared"]) == (False, True, "pro")
    bound = Api(_key("bound", Role.READER, cast.north)).post("/v1/feature-flags/new-ui/explain", question).json()
    assert (bound["enabled"], bound["rules"]) == (True, None)
    assert "acme" not in str(bound).lower()


def test_an_old_client_that_puts_a_definition_keeps_its_rules(flag: Flag) -> None:
    api = Api(_key("editor", Role.EDITOR))
    assert api.send("PUT", "/v1/feature-flags/new-ui", {"enabled": True}).json()["rules"] == [PROS]
    assert api.send("PUT", "/v1/feature-flags/new-ui", {"enabled": True, "rules": []}).json()["rules"] == []
