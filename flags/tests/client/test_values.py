"""Code asks for the variant and the value of a flag, of whatever type it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openfeature import api
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from conftest import Cast
from flags.client import (
    ValueDetails,
    avalue,
    avalue_details,
    avariant,
    is_enabled,
    override_flag,
    value,
    value_details,
    variant,
)
from flags.definitions.models import Flag
from flags.openfeature_provider import FlagsiteProvider
from flags.tests.typed_flags import define_typed

pytestmark = pytest.mark.django_db
VALUES: dict[str, tuple[Any, Any]] = {
    "string": ("#00f", "none"),
    "integer": (10, 1),
    "float": (2.0, 0.5),
    "object": ({"images": [1, 2.0]}, {}),
    "boolean": (True, False),
}
"""For each type, what the flag of this name serves, and a default."""


@pytest.fixture(autouse=True)
def flags(cast: Cast) -> None:
    """A flag of each type that is on."""
    for flag_type, (serves, _) in VALUES.items():
        if flag_type == "boolean":
            Flag.objects.create(key=flag_type, enabled=True)
        else:
            define_typed(flag_type, flag_type, {"first": serves})


@pytest.mark.parametrize("flag_type", VALUES)
def test_a_value_has_the_type_of_the_flag(flag_type: str) -> None:
    serves, default = VALUES[flag_type]
    found = value(flag_type, default)
    assert (found, type(found)) == (serves, type(serves))
    assert asyncio.run(avalue(flag_type, default)) == serves
    name = "on" if flag_type == "boolean" else "first"
    assert (variant(flag_type), asyncio.run(avariant(flag_type))) == (name, name)
    right = ValueDetails(serves, name, "STATIC", metadata={"rule": "default"})
    assert value_details(flag_type, default) == asyncio.run(avalue_details(flag_type, default)) == right
    assert is_enabled(flag_type)


@pytest.mark.parametrize(
    ("flag_type", "default"),
    [
        (flag_type, default)
        for flag_type in VALUES
        for other, (_, default) in VALUES.items()
        if other != flag_type and {other, flag_type} != {"integer", "float"}
    ],
)
def test_another_type_than_that_of_the_flag_gives_the_default(flag_type: str, default: Any) -> None:
    assert value(flag_type, default) is default
    details = value_details(flag_type, default)
    assert (details.value, details.variant, details.reason) == (default, "", "ERROR")
    assert details.error_code == "TYPE_MISMATCH"
    assert f"has the type {flag_type}" in details.error


def test_numbers_are_converted_where_nothing_is_lost() -> None:
    define_typed("half", "float", {"half": 0.5})
    define_typed("huge", "float", {"huge": 1e300})
    found = value("integer", 0.5), value("float", 5), value("half", 5)
    assert [(each, type(each)) for each in found] == [(10.0, float), (2, int), (5, int)]
    assert (value("huge", 5), value("huge", 5.0)) == (5, 1e300)


def test_an_object_is_a_copy() -> None:
    default: dict[str, Any] = {}
    value("object", default)["images"].append(3)
    assert value("object", default) == {"images": [1, 2.0]}


@pytest.mark.parametrize("state", ["killed", "archived", "enabled"])
def test_a_flag_without_a_value_gives_the_default_of_the_code(state: str) -> None:
    Flag.objects.filter(key="string").update(**{state: state != "enabled"})
    details = value_details("string", "none")
    assert (details.value, details.variant, details.reason, details.error_code) == ("none", "", "DISABLED", "")
    assert (variant("string", "nothing"), value("string", "none")) == ("nothing", "none")
    assert not is_enabled("string")
    assert value_details("string", 5).reason == "DISABLED"  # without a value there is no type to differ


def test_the_off_variant_is_served_where_the_flag_is_off() -> None:
    Flag.objects.filter(key="string").update(enabled=False, off_variant="first")
    assert (value("string", "none"), variant("string"), is_enabled("string")) == ("#00f", "first", False)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"organization": "mars"}, "INVALID_CONTEXT"),
        ({"organization": 1.5}, "INVALID_CONTEXT"),
        ({}, "TARGETING_KEY_MISSING"),
        ({"user_id": "\ud800"}, "TARGETING_KEY_MISSING"),
    ],
)
def test_what_cannot_be_evaluated_is_the_default_and_an_error_code(asked: Any, code: str) -> None:
    Flag.objects.filter(key="string").update(rollout_percentage=50)
    assert value_details("string", "none", **asked).error_code == code
    assert (value("string", "none", **asked), variant("string", "nothing", **asked)) == ("none", "nothing")
    assert value_details("nobody-made-this", 1).error_code == "FLAG_NOT_FOUND"


def test_a_default_of_no_type_is_a_mistake_of_the_code() -> None:
    with pytest.raises(TypeError, match="NoneType is none"):
        value("string", None)


def test_a_test_fixes_a_value() -> None:
    with override_flag("anything", value="#f00", variant="red"):
        assert (value("anything", ""), variant("anything"), is_enabled("anything")) == ("#f00", "red", True)
        assert value("anything", 5) == 5
    with override_flag("anything", False, value=[1]):
        assert (value("anything", []), is_enabled("anything")) == ([1], False)
    with override_flag("anything", True):
        assert (value("anything", False), variant("anything")) == (True, "on")


def test_openfeature_gets_each_type_and_converts_what_loses_nothing() -> None:
    api.set_provider(FlagsiteProvider())
    client = api.get_client()
    for flag_type, (serves, default) in VALUES.items():
        for other in VALUES:
            details = getattr(client, f"get_{other}_details")(flag_type, VALUES[other][1])
            awaited = asyncio.run(getattr(client, f"get_{other}_details_async")(flag_type, VALUES[other][1]))
            assert details == awaited
            if other == flag_type:
                assert (details.value, details.reason) == (serves, Reason.STATIC)
                assert details.variant == variant(flag_type)
            elif {other, flag_type} == {"integer", "float"}:
                assert (details.value, details.error_code) == (serves, None)
            else:
                assert (details.value, details.error_code) == (VALUES[other][1], ErrorCode.TYPE_MISMATCH)
        assert default != serves
    api.clear_providers()


def test_openfeature_gets_the_default_where_there_is_no_value() -> None:
    Flag.objects.filter(key="string").update(killed=True)
    api.set_provider(FlagsiteProvider())
    details = api.get_client().get_string_details("string", "none")
    assert (details.value, details.variant, details.reason) == ("none", None, Reason.DISABLED)
    assert details.error_code is None
    api.clear_providers()
