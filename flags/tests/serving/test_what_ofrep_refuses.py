"""What OFREP refuses, and in which form: half characters, and addresses that do not exist."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.tests.serving.asking import FLAGS, Asking

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
