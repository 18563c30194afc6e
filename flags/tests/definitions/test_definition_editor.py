"""The editor of a definition: what it offers, and what a context gets by a form that is not saved yet."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.definitions.editor import editor_of
from flags.definitions.models import Flag
from flags.segments import service as segments
from orgs.attributes.models import OrganizationAttribute
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/flag/"
FORM = {
    "key": "f", "description": "", "rollout_percentage": "100", "rollout_unit": "targetingKey", "kind": "release",
    "environments": "{}", "targeting_rules": "[]", "variants": "[]", "reason": "",
}  # fmt: skip


def rule(clause: dict[str, Any], variant: str = "on") -> dict[str, Any]:
    return {"id": "pros", "clauses": [clause], "serve": {"variant": variant}}


PROS = rule({"attribute": "plan", "op": "in", "values": ["pro"]})


@pytest.fixture
def operator() -> Client:
    return signed_in("operator")


def based_on(flag: Flag | None) -> dict[str, str]:
    return {"based_on": flag.revision} if flag else {}


def tried(client: Client, flag: Flag | None, rules: Any, **values: str) -> str:
    """The text of the trial of a form with these rules."""
    address = f"{LIST}{flag.pk}/try-unsaved/" if flag else f"{LIST}try-unsaved/"
    text = rules if isinstance(rules, str) else json.dumps(rules)
    page = shown(client.post(address, FORM | {"targeting_rules": text} | based_on(flag) | values))
    return " ".join(re.sub(r"<[^>]*>", "", page).replace("&#x27;", "'").replace("&quot;", '"').split())


def test_a_trial_uses_the_rules_of_the_form_and_saves_nothing(operator: Client) -> None:
    flag = service.create(key="f", by="user:olga", values={})
    said = tried(operator, flag, [PROS], **{"try-attributes": '{"plan": "pro"}'})
    assert "This context gets on by the rule pros." in said
    assert 'The attribute \'plan\' is "pro": in ["pro"] matches.' in said
    others = tried(operator, flag, [PROS], **{"try-attributes": '{"plan": "free"}'})
    assert "This context gets off. The default is off." in others
    assert Flag.objects.get().targeting_rules == []


def test_a_trial_knows_the_attributes_of_the_organization(operator: Client, cast: Cast) -> None:
    flag = service.create(key="f", by="user:olga", values={})
    OrganizationAttribute.objects.create(organization=cast.oslo, name="plan", value="pro")
    rules = [rule({"attribute": "org.plan", "op": "in", "values": ["pro"]})]
    assert "gets on by the rule pros" in tried(operator, flag, rules, **{"try-organization": "oslo"})
    assert "gets off" in tried(operator, flag, rules)


def test_a_new_flag_is_tried_out_with_its_variants(operator: Client) -> None:
    typed = {"type": "string", "variants": '[{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}]'}
    rules = [rule({"attribute": "plan", "op": "exists"}, "red")]
    said = tried(operator, None, rules, **typed, **{"try-attributes": '{"plan": 1}'})
    assert 'This context gets red by the rule pros. "#f00"' in said
    assert not Flag.objects.exists()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('[\n{"id": "a"}\n]', "Rule 1: It needs a list `clauses` with 1 to 20 clauses. The rule begins on line 2."),
        ("[\n{]", "Write a list of rules, or [] for none. Line 2, column 2:"),
        ([PROS | {"serve": {"variant": "red"}}], "Rule 1: Unknown variant 'red'."),
    ],
)
def test_a_trial_names_the_place_of_what_is_wrong(operator: Client, rules: Any, message: str) -> None:
    assert message in tried(operator, service.create(key="f", by="user:olga", values={}), rules)


def test_a_trial_says_which_input_of_its_own_is_wrong(operator: Client) -> None:
    flag = service.create(key="f", by="user:olga", values={})
    assert "Attributes: Enter a valid JSON." in tried(operator, flag, [], **{"try-attributes": "{"})
    assert "needs" in tried(operator, flag, [], enabled="on", rollout_percentage="50")


def test_who_cannot_change_the_definition_tries_nothing_out() -> None:
    flag = service.create(key="f", by="user:olga", values={})
    assert signed_in("viewer").post(f"{LIST}{flag.pk}/try-unsaved/", FORM).status_code == 403
    page = shown(signed_in("viewer", name="v").get(f"{LIST}{flag.pk}/change/?tab=definition"))
    assert "definition-editor" not in page


def test_the_editor_offers_attributes_of_rules_and_organizations_and_operators_in_words(cast: Cast) -> None:
    service.create(key="f", by="user:olga", values={"targeting_rules": [PROS]})
    segments.create(key="beta", by="user:olga", values={"rules": [{"clauses": [{"attribute": "age", "op": "exists"}]}]})
    OrganizationAttribute.objects.create(organization=cast.oslo, name="seats", value=3)
    offered = editor_of(None)
    words = [("age", ""), ("org.seats", "of the organization"), ("plan", ""), ("targetingKey", "the user")]
    assert offered["attributes"] == words
    takes = {each["name"]: (each["words"], each["takes"]) for each in offered["operators"]}
    assert takes["in"] == ("is", "anything")
    assert takes["gte"] == ("≥", "numbers")
    assert takes["before"] == ("before", "texts")
    assert takes["inSegment"] == ("the user is in the segment", "texts")
    assert takes["exists"] == ("is there", "nothing")
    assert takes["level"] == ("the organization is on level", "numbers")
    are_words = {"matches", "before", "after", "contains"}
    assert all(words != name for name, (words, _) in takes.items() if name not in are_words)


def test_the_editor_knows_the_paths_of_organizations_in_rules(cast: Cast) -> None:
    below = rule({"op": "inSubtree", "values": ["oslo", "gone"]})
    flag = service.create(key="f", by="user:olga", values={"targeting_rules": [below]})
    assert editor_of(flag)["paths"] == {"oslo": "Acme › North › Oslo"}


def test_a_trial_says_in_words_which_clauses_decided(operator: Client) -> None:
    rules = [rule({"attribute": "plan", "op": "in", "values": ["pro", "team"]})]
    flag = service.create(key="f", by="user:olga", values={})
    said = tried(operator, flag, rules, **{"try-attributes": '{"plan": "pro"}'})
    assert 'plan is "pro" or "team": yes, it is "pro".' in said
    said = tried(operator, flag, rules, **{"try-attributes": '{"plan": "free"}'})
    assert 'pros does not match. plan is "pro" or "team": no, it is "free".' in said
    assert 'plan is "pro" or "team": no, it is missing.' in tried(operator, flag, rules)


def test_a_trial_marks_the_clauses_that_match(operator: Client) -> None:
    clauses = [{"attribute": "plan", "op": "exists"}, {"attribute": "age", "op": "gte", "values": [18]}]
    form = FORM | {"targeting_rules": json.dumps([PROS | {"clauses": clauses}]), "try-attributes": '{"plan": 1}'}
    page = shown(operator.post(f"{LIST}try-unsaved/", form))
    assert 'data-number="0" data-outcomes="[[true, false]]"' in page


def test_a_trial_shows_the_buckets_of_prerequisites(operator: Client) -> None:
    needed = {"enabled": True, "rollout_percentage": Decimal(50)}
    first = service.create(key="first", by="user:olga", values=needed)
    service.create(key="f", by="user:olga", values={"prerequisites": ["first"]})
    values = {"prerequisites": str(first.pk), "try-user": "ann", "enabled": "on"}
    said = tried(operator, Flag.objects.get(key="f"), [], **values)
    assert re.search(r"Prerequisite first: (on|off)\. .*bucket \d+", said)
