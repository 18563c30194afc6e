"""JSON Schemas of values: what they refuse, and that none holds Flagsite up."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from flags.values import json_schema
from flags.values.json_schema import check_schema, check_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
PARTS: dict[str, Any] = {
    "type": st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"]),
    "enum": st.lists(JSON, min_size=1, max_size=3),
    "const": JSON,
    "minimum": st.integers(-3, 3),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "maxLength": st.integers(0, 2),
    "pattern": st.sampled_from(["^a", "b$", "a|b"]),
    "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
    "uniqueItems": st.booleans(),
    "minItems": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
}


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    lists = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": named, "patternProperties": named, "additionalProperties": inner | st.booleans(),
            "items": inner, "contains": inner, "not": inner, "allOf": lists, "anyOf": lists, "oneOf": lists,
            "if": inner, "then": inner, "else": inner, "propertyNames": inner,
            "prefixItems": lists, "dependentSchemas": named, "$defs": named,
        },
    )  # fmt: skip


SCHEMAS = st.recursive(st.fixed_dictionaries({}, optional=PARTS), nested, max_leaves=4)


def fits(schema: Any, value: Any) -> bool:
    check_schema(schema)
    try:
        check_values(schema, [("The value", value)])
    except ValidationError:
        return False
    return True


@given(SCHEMAS, JSON)
def test_a_value_fits_exactly_if_the_library_says_so(schema: Any, value: Any) -> None:
    assert fits(schema, value) == jsonschema.Draft202012Validator(schema).is_valid(value)


DOUBLING = {f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(60)}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#/$defs/d0", "$defs": {**DOUBLING, "d60": {}}}, 1),
        ({"$ref": "#"}, 1),
        ({"items": {"not": {"enum": list(range(3_000))}}}, [-number for number in range(1, 3_000)]),
        ({"items": {f"unknown{number}": 1 for number in range(800)}}, [1] * 8_000),
        ({"items": {"allOf": [{"not": {"pattern": "(x+x+)+y"}}] * 300}}, ["x" * 100] * 150),
    ],
)
def test_a_check_that_would_take_long_is_refused(schema: Any, value: Any) -> None:
    check_schema(schema)
    with pytest.raises(ValidationError, match="takes too long"):
        check_values(schema, [("The value", value)])
    assert json_schema._left.get(None) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "Not a JSON Schema: an object"),
        ({"type": "colour"}, "at type"),
        ({"properties": {"a": {"minimum": "1"}}}, "at properties/a/minimum"),
        ({"$ref": "https://example.com/schema"}, "leads out of the schema"),
        ({"properties": {"enum": {"$ref": "other.json#/a"}}}, "leads out of the schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "draft 2020-12 only"),
        ({"$id": "https://example.com/x"}, "takes no \\$id"),
        ({"pattern": "(a)\\1"}, "no regular expression of RE2"),
        ({"patternProperties": {"(?=a)": True}}, "no regular expression of RE2"),
        ({"pattern": "a" * 257}, "more than 256 characters"),
        ({"pattern": r"\pL{40}"}, "pattern too large"),
        ({"const": "x" * 2**14}, "16,384 bytes"),
        ({"const": 2**53}, "whole number"),
        ({"allOf": [{}] * 1_000}, "more than 1,000 objects"),
        ({"allOf": [True] * 1_000}, "more than 1,000 objects"),
    ],
)
def test_a_schema_that_is_none_or_leads_out_of_itself_is_refused(schema: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        check_schema(schema)


def test_a_reference_to_nothing_is_told() -> None:
    with pytest.raises(ValidationError, match=r"refers to '/\$defs/none'"):
        check_values({"$ref": "#/$defs/none"}, [("The value", 1)])


def test_a_value_that_does_not_fit_is_told_with_its_place_in_few_words() -> None:
    schema = {"properties": {"limits": {"items": {"maximum": 10}}}}
    check_schema(schema)
    with pytest.raises(ValidationError, match="The variant 'a' does not fit the schema at limits/1: 11 is greater"):
        check_values(schema, [("The variant 'a'", {"limits": [1, 11]})])
    with pytest.raises(ValidationError) as caught:
        check_values({"const": 1}, [("The value", "x" * 9_000)])
    assert len(caught.value.messages[0]) < 300


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    names = ("$ref", "$id", "pattern", "enum", "unevaluatedItems", "$schema")
    schema = {"properties": {name: {"type": "string"} for name in names}}
    assert fits(schema, dict.fromkeys(names, "x"))
    assert not fits(schema, {"$ref": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{}], "$ref": "#/allOf/x"}, {"title": "abc", "$ref": "#/title"}, {"default": 3, "$ref": "#/default"},
        {"default": {"properties": 3}, "$ref": "#/default"}, {"examples": [{"required": 3}], "$ref": "#/examples/0"},
        {"$ref": "#/allOf/" + "1" * 5000},
    ],
)  # fmt: skip
def test_a_reference_to_what_is_no_schema_is_told(schema: Any) -> None:
    with pytest.raises(ValidationError):
        check_values(schema, [("The value", {"a": "b"})])


REFERENCES = {f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 9} for number in range(3)}


def test_all_values_have_one_budget() -> None:
    schema = {"$ref": "#/$defs/d0", "$defs": {**REFERENCES, "d3": {"type": "string"}}}
    check_values(schema, [("The value", "x")])
    with pytest.raises(ValidationError, match="takes too long"):
        check_values(schema, [(f"The value {number}", "x") for number in range(50)])


def test_a_reference_costs_what_its_parts_need_to_be_looked_up() -> None:
    def within(levels: int) -> dict[str, Any]:
        return {"not": within(levels - 1)} if levels else {"type": "string"}

    def schema(levels: int) -> dict[str, Any]:
        return {"items": {"$ref": f"#/$defs/a{'/not' * levels}"}, "$defs": {"a": within(levels)}}

    check_values(schema(0), [("The value", ["x"] * 2_000)])
    with pytest.raises(ValidationError, match="takes too long"):
        check_values(schema(100), [("The value", ["x"] * 2_000)])


def test_each_of_many_values_adds_to_the_budget() -> None:
    schema = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
    check_values(schema, ((f"The value {number}", {"limit": number}) for number in range(20_000)))


def test_keywords_that_need_the_whole_schema_are_refused_in_any_form() -> None:
    schemas: list[Any] = [
        {"unevaluatedProperties": {"type": "string"}},
        {"properties": {"a": {"unevaluatedItems": {}}}},
    ]
    for schema in schemas:
        with pytest.raises(ValidationError, match="takes no unevaluated"):
            check_schema(schema)
