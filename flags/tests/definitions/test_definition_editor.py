"""The editor of a definition: what it offers, and what a context gets by a form that is not saved yet."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.definitions.editor import editor_of
from flags.definitions.models import Flag
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


def test_the_editor_offers_attributes_of_other_rules_and_operators_in_words() -> None:
    service.create(key="f", by="user:olga", values={"targeting_rules": [PROS]})
    offered = editor_of(None)
    assert offered["attributes"] == ["plan", "targetingKey"]
    takes = {each["name"]: (each["words"], each["takes"]) for each in offered["operators"]}
    assert takes["in"] == ("is", "anything")
    assert takes["gte"] == ("≥", "numbers")
    assert takes["before"] == ("before", "texts")
    assert takes["inSegment"] == ("the user is in the segment", "texts")
    assert takes["exists"] == ("is there", "nothing")
    assert takes["level"] == ("the organization is on level", "numbers")
    are_words = {"matches", "before", "after", "contains"}
    assert all(words != name for name, (words, _) in takes.items() if name not in are_words)
