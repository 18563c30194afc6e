"""Whatever somebody writes as type, variants and schema: it is refused with reasons, or is read back and served."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import _key
from flags.definitions.models import Flag
from flags.values.types import TYPES
from orgs.access.models import Role
from orgs.tests.api import Api

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
BASE = "/v1/feature-flags"
NUMBERS = st.integers(-3, 3) | st.sampled_from([2**53 - 1, 2**53, 10**25, -(10**400), 1e22, 1e-7, -0.0, 0.1, 1e308])
TEXTS = st.text(max_size=3) | st.sampled_from(["\x00", "on", "\ud800", "x" * 2**14, "é" * 2**13])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OF_TYPE = {
    "boolean": st.booleans(), "string": st.text(max_size=4), "integer": st.integers(-9, 9), "float": NUMBERS,
    "object": st.dictionaries(st.text(max_size=2), JSON, max_size=2),
}  # fmt: skip
KEYS = st.sampled_from(["on", "off", "a", "blue.2", "A" * 255])
SCHEMAS: st.SearchStrategy[Any] = st.sampled_from(
    [None, {}, {"type": ["string", "number"]}, {"minimum": 0}, {"$ref": "#"}, {"not": {}}, {"x": 1}]
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    flag_type = draw(st.sampled_from(TYPES))
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    values = st.one_of(OF_TYPE[flag_type], OF_TYPE[flag_type], JSON)
    body: dict[str, Any] = {
        "type": flag_type, "variants": [{"key": key, "value": draw(values)} for key in keys],
        "enabled": draw(st.booleans()),
    }  # fmt: skip
    named = st.none() | KEYS | st.sampled_from(keys or ["a"])
    for name, choice in (("defaultVariant", named), ("offVariant", named), ("schema", SCHEMAS)):
        if draw(st.booleans()):
            body[name] = draw(choice)
    return body


@given(st.lists(bodies(), min_size=1, max_size=2))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_taken_is_read_back_sent_back_and_served(written: list[dict[str, Any]]) -> None:
    Flag.objects.all().delete()
    api = Api(_key("editor", Role.EDITOR))
    made = api.post(BASE, json.dumps({"name": "f"} | written[0]).encode())
    assert made.status_code in {201, 400}, made.content
    if made.status_code == 400:
        return
    for body in written[1:]:
        assert api.send("PATCH", f"{BASE}/f", json.dumps(body).encode()).status_code in {200, 400, 409}
    read = api.get(f"{BASE}/f")
    again = api.send("PUT", f"{BASE}/f", read.content)
    assert (again.status_code, again.content) == (200, read.content)
    numbers = [each["number"] for each in Flag.objects.get().variants]
    assert len(set(numbers)) == len(numbers)
    served = api.get(f"{BASE}/f/check?userId=ann")
    assert served.status_code == 200, served.content
    values = {each["key"]: each["value"] for each in read.json()["variants"]}
    if served.json().get("variant") in values:
        assert served.json()["value"] == values[served.json()["variant"]]
