"""What OFREP refuses, and in which form: half characters, and addresses that do not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.targeting.attributes import reader_of
from flags.tests.serving.asking import FLAGS, Asking
from orgs.tests.api import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def checkout(cast: Cast) -> Flag:
    return Flag.objects.create(key="checkout", whitelist=["vip"])


def test_half_of_a_character_in_an_attribute_that_does_not_count_fails_nothing(checkout: Flag, asking: Asking) -> None:
    body = b'{"context": {"targetingKey": "vip", "nick": "\\ud83d", "deep": {"more": ["\\udc00"]}}}'
    assert asking.post(FLAGS, body).status == 200
    assert asking.post(f"{FLAGS}/checkout", body).body["value"] is True


@pytest.mark.parametrize("name", ["targetingKey", "organizationKey", "organizationId", "environment"])
def test_half_of_a_character_where_it_counts_is_refused_by_name(checkout: Flag, asking: Asking, name: str) -> None:
    answer = asking.post(FLAGS, b'{"context": {"%s": "anna \\ud83d"}}' % name.encode())
    assert (answer.status, answer.body["errorCode"]) == (400, "INVALID_CONTEXT")
    assert f"The context's {name} has half of a character" in answer.body["errorDetails"]


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def rule(op: str, *values: Any, attribute: str = "n") -> dict[str, Any]:
    clause = (
        {"attribute": attribute, "op": op, "values": list(values)} if values else {"attribute": attribute, "op": op}
    )
    return {"id": "r", "clauses": [clause], "serve": {"variant": "on"}}


def nested_in_lists(levels: int) -> bytes:
    """A context with so many levels, the context itself included."""
    return b'{"context": {"n": %s}}' % (b"[" * (levels - 1) + b"]" * (levels - 1))


def nested_in_objects(levels: int) -> bytes:
    return b'{"context": {"n": %s1%s}}' % (b'{"a":' * (levels - 1), b"}" * (levels - 1))


@pytest.mark.parametrize("nested", [nested_in_lists, nested_in_objects])
@pytest.mark.parametrize("path", [FLAGS, f"{FLAGS}/checkout"])
def test_a_context_has_100_levels_at_most(
    checkout: Flag, asking: Asking, path: str, nested: Callable[[int], bytes]
) -> None:
    Flag.objects.create(key="deep", targeting_rules=[rule("exists")])
    assert asking.post(path, nested(100)).status == 200
    for levels in (101, 1_000, 5_000):
        answer = asking.post(path, nested(levels))
        assert (answer.status, answer.body["errorCode"]) == (400, "PARSE_ERROR")


def test_values_too_deep_to_be_written_are_like_no_others() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    read = reader_of(["n"])
    assert read({"n": deep}) != read({"n": deep})
    assert read({"n": [[1]]}) == read({"n": [[1]]})


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400])
@pytest.mark.parametrize("form", [b"%s", b"[%s]", b'{"a": [1, %s]}', b'[%s, "\\ud83d"]'])
@pytest.mark.parametrize("path", [FLAGS, f"{FLAGS}/checkout"])
def test_a_number_that_is_infinite_for_its_reader_is_refused(
    checkout: Flag, asking: Asking, path: str, form: bytes, number: bytes
) -> None:
    answer = asking.post(path, b'{"context": {"n": %s}}' % (form % number))
    assert (answer.status, answer.body["errorCode"]) == (400, "PARSE_ERROR")


@pytest.mark.parametrize("with_half", [b"", b', "nick": "\\ud83d"'])
def test_a_whole_number_of_more_than_64_bits_is_read_as_a_float_everywhere(
    checkout: Flag, asking: Asking, api: Api, with_half: bytes
) -> None:
    Flag.objects.create(key="great", targeting_rules=[rule("in", 1e23)])
    body = b'{"context": {"n": 100000000000000000000000%s}}' % with_half
    assert asking.post(f"{FLAGS}/great", body).body["value"] is True
    asked = {"attributes": {"n": 10**23}}
    assert api.post("/v1/feature-flags/great/check", asked).json()["enabled"] is True


@pytest.mark.parametrize(
    "written", [b'{"a": 1e999}', b'{"a": %s}' % (b"1" * 400), b'{"a": %s%s}' % (b"[" * 100, b"]" * 100)]
)
@pytest.mark.parametrize("action", ["check", "explain"])
def test_check_and_explain_refuse_the_same_attributes(checkout: Flag, api: Api, action: str, written: bytes) -> None:
    answer = api.post(f"/v1/feature-flags/checkout/{action}", b'{"attributes": %s}' % written)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["attributes"]


@pytest.mark.parametrize("key", ["a/b", "..", "../flags", "a b", "%", "é" * 300])
def test_a_key_that_no_flag_can_have_is_not_found_as_the_protocol_says(asking: Asking, key: str) -> None:
    for path in (FLAGS, f"/organizations/acme{FLAGS}"):
        answer = asking.post(f"{path}/{key}", {"context": {"targetingKey": "vip"}})
        assert answer.status in {400, 404}
        assert answer.body["key"] == key
        assert answer.body["errorCode"] in {"FLAG_NOT_FOUND", "INVALID_CONTEXT"}


@pytest.mark.parametrize(
    "path", ["/ofrep/v1/", "/ofrep/v1/flags", f"{FLAGS}/", "/ofrep/v1/events", "/organizations/acme/ofrep/v1/x"]
)
def test_an_address_below_the_protocols_that_does_not_exist_is_told_in_its_form(asking: Asking, path: str) -> None:
    answer = asking.post(path, {"context": {}})
    assert answer.status == 404
    assert list(answer.body) == ["errorDetails"]
    assert "Send a POST to /ofrep/v1/evaluate/flags" in answer.body["errorDetails"]
