"""Flags of all types as OFREP serves them: the text of the JSON counts, because clients tell types apart by it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import CustomValue, FlagState
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import FLAGS, Asking
from flags.tests.typed_flags import define_typed

pytestmark = pytest.mark.django_db
RULE = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "second"}}


def texts_of(asking: Asking, **context: Any) -> dict[str, str]:
    """The entry of each flag in a bulk answer, as the text that was sent."""
    body = json.dumps({"context": context}).encode()
    environ = {"REQUEST_METHOD": "POST", "HTTP_AUTHORIZATION": f"Bearer {asking.key}", "wsgi.input": io.BytesIO(body)}
    answered = asking.evaluation.answer(environ, FLAGS)
    assert answered is not None
    entries = answered[2].decode().removeprefix('{"flags":[').partition('],"metadata":{')[0]
    return {json.loads(entry)["key"]: entry for entry in entries.replace('},{"key"', '}\0{"key"').split("\0")}


@pytest.mark.parametrize(
    ("flag_type", "value", "text"),
    [
        ("string", "", '""'),
        ("string", "ü\n", '"ü\\n"'),
        ("integer", 2**53 - 1, "9007199254740991"),
        ("integer", -5, "-5"),
        ("float", 1, "1.0"),
        ("float", -0.25, "-0.25"),
        ("float", 1e22, "1.0e+22"),
        ("float", 5e-324, "5.0e-324"),
        ("object", {}, "{}"),
        ("object", {"a": [1, 1.5, None, "x"]}, '{"a": [1, 1.5, null, "x"]}'),
    ],
)
def test_a_value_is_written_by_the_type_of_its_flag(asking: Asking, flag_type: str, value: Any, text: str) -> None:
    define_typed("typed", flag_type, {"blue": value})
    entry = texts_of(asking)["typed"]
    text = text if flag_type != "object" else json.dumps(json.loads(text), separators=(",", ":"))
    assert entry == (
        f'{{"key":"typed","reason":"STATIC","value":{text},"variant":"blue","metadata":{{"rule":"default"}}}}'
    )
    assert asking.one("typed").body == json.loads(entry)


def test_the_entry_of_a_boolean_flag_is_what_it_has_always_been(cast: Cast, asking: Asking) -> None:
    Flag.objects.create(key="plain", enabled=True)
    set_flag(organization_id=cast.oslo.pk, flag_key="plain", enabled=False)
    state = FlagState.objects.get()
    assert texts_of(asking, organizationId=cast.oslo.pk) == {
        "plain": '{"key":"plain","reason":"TARGETING_MATCH","value":false,"variant":"off","metadata":'
        f'{{"rule":"organization","sourceOrganizationId":{cast.oslo.pk},"changeNumber":{state.change_number}}}}}'
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"killed": True}, "DISABLED"),
        ({"archived": True}, "DISABLED"),
        ({"enabled": False}, "DISABLED"),
        ({"rollout_percentage": 0}, "DISABLED"),
        ({"default_variant": ""}, "DEFAULT"),
    ],
)
def test_a_flag_without_a_value_leaves_it_out(asking: Asking, fields: dict[str, Any], reason: str) -> None:
    define_typed("typed", "integer", {"ten": 10}, **fields)
    answer = asking.one("typed", targetingKey="ann")
    assert answer.status == 200
    assert answer.body["metadata"].keys() == {"rule"}
    assert {name: value for name, value in answer.body.items() if name != "metadata"} == {
        "key": "typed", "reason": reason, "variant": "",
    }  # fmt: skip


def test_off_and_on_are_variants_wherever_something_decides(cast: Cast, asking: Asking) -> None:
    define_typed(
        "typed", "float", {"first": 1.0, "second": 2.0, "third": 3.0}, off_variant="third", whitelist=["vip"],
        targeting_rules=[RULE], environments={"staging": True, "test": False}, enabled=False,
    )  # fmt: skip

    def serves(**context: Any) -> tuple[str, float, str]:
        body = asking.one("typed", **context).body
        return body["variant"], body["value"], body["metadata"]["rule"]

    assert serves() == ("third", 3.0, "default")
    assert serves(targetingKey="vip") == ("first", 1.0, "whitelist")
    assert serves(plan="pro") == ("second", 2.0, "targeting")
    assert serves(environment="staging") == ("first", 1.0, "environment")
    assert serves(environment="test", plan="pro") == ("third", 3.0, "environment")


def test_a_variant_and_a_custom_value_of_an_organization_count_where_it_is_on(cast: Cast, asking: Asking) -> None:
    flag = define_typed("typed", "object", {"first": {"n": 1}, "second": {"n": 2}}, whitelist=["vip"])
    custom = CustomValue.objects.create(flag=flag, value={"n": 3}, digest=b"3")
    for organization, number in ((cast.oslo, 2), (cast.bergen, custom.pk)):
        set_flag(organization_id=organization.pk, flag_key="typed", enabled=True)
        FlagState.objects.filter(organization=organization).update(variant=number)
    for organization, variant, value in ((cast.oslo, "second", {"n": 2}), (cast.bergen, "custom", {"n": 3})):
        for user, rule in (("ann", "organization"), ("vip", "whitelist")):
            body = asking.one("typed", organizationId=organization.pk, targetingKey=user).body
            assert (body["variant"], body["value"], body["metadata"]["rule"]) == (variant, value, rule)
        change = body["metadata"] = asking.one("typed", organizationId=organization.pk).body["metadata"]
        assert change["version"] == change["changeNumber"]
    assert asking.one("typed", organizationId=cast.rome.pk).body["value"] == {"n": 1}


def test_the_etag_is_that_of_the_attributes_that_rules_read(asking: Asking) -> None:
    define_typed("typed", "string", {"first": "a", "second": "b"}, targeting_rules=[RULE])
    tags = [asking.all(**context).headers["ETag"] for context in ({}, {"age": 5}, {"plan": "pro"}, {"plan": "free"})]
    assert tags[0] == tags[1]
    assert len(set(tags[1:])) == 3
    assert asking.all(plan="pro", headers={"If-None-Match": tags[2]}).status == 304


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(context=st.dictionaries(st.sampled_from(["targetingKey", "plan", "version", "address", "at", "size"]), JSON))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_no_context_makes_an_evaluation_fail(asking: Asking, context: dict[str, Any]) -> None:
    operators = [
        ("plan", "startsWith", ["p"]), ("plan", "matches", ["^(a+)+$"]), ("version", "semverGt", ["1.0.0"]),
        ("address", "inCidr", ["10.0.0.0/8"]), ("at", "before", ["2026-01-01T00:00:00Z"]), ("size", "gt", [3]),
        ("size.of", "in", [True, 1, "1"]), ("targetingKey", "endsWith", ["n"]),
    ]  # fmt: skip
    for number, (attribute, operator, values) in enumerate(operators):
        clause = {"attribute": attribute, "op": operator, "values": values, "negate": number % 2 == 0}
        rule = {"id": "rule", "clauses": [clause], "serve": {"variant": "second"}}
        if not Flag.objects.filter(key=f"flag-{number}").exists():
            define_typed(f"flag-{number}", "float", {"first": 1, "second": 2}, targeting_rules=[rule])
    answer = asking.post(FLAGS, json.dumps({"context": context}).encode())
    if answer.status == 200:
        assert {entry["value"] for entry in answer.body["flags"]} <= {1.0, 2.0}
    else:
        assert (answer.status, answer.body["errorCode"]) in {(400, "INVALID_CONTEXT"), (400, "PARSE_ERROR")}
