"""OFREP, the OpenFeature provider, Django code and the API's questions mean the same organization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from conftest import Cast
from flags.client import is_enabled
from flags.client.evaluate import resolve
from flags.openfeature_provider import FlagsiteProvider
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import Asking
from orgs.tests.api import Api
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
FREE_ID = 2**40
"""What no organization has as its id."""
Context = Callable[[Cast], dict[str, Any]]
CONTEXTS: dict[str, tuple[Context, str | None]] = {
    "its id": (lambda cast: {"organizationId": cast.oslo.pk}, "oslo"),
    "its key": (lambda cast: {"organizationKey": "oslo"}, "oslo"),
    "an id and its key": (lambda cast: {"organizationId": cast.oslo.pk, "organizationKey": "oslo"}, "oslo"),
    "an id and another's key": (lambda cast: {"organizationId": cast.oslo.pk, "organizationKey": "rome"}, None),
    "an id and an empty key": (lambda cast: {"organizationId": cast.oslo.pk, "organizationKey": ""}, "oslo"),
    "no id, but a key": (lambda cast: {"organizationId": None, "organizationKey": "oslo"}, "oslo"),
    "an id as text": (lambda cast: {"organizationId": str(cast.rome.pk)}, "rome"),
    "a key as id": (lambda cast: {"organizationId": "oslo"}, "oslo"),
    "a key of digits as id": (lambda cast: {"organizationId": FREE_ID}, None),
    "a key of digits as text": (lambda cast: {"organizationId": str(FREE_ID)}, None),
    "a key of digits, said to be a key": (lambda cast: {"organizationId": f"key:{FREE_ID}"}, "free"),
    "an id that is another's key": (lambda cast: {"organizationId": str(cast.oslo.pk)}, None),
    "the same, said to be an id": (lambda cast: {"organizationId": f"id:{cast.oslo.pk}"}, "oslo"),
    "the same, said to be a key": (lambda cast: {"organizationId": f"key:{cast.oslo.pk}"}, "its-twin"),
    "a key that is another's id": (lambda cast: {"organizationKey": str(cast.oslo.pk)}, "its-twin"),
    "an empty key": (lambda cast: {"organizationKey": ""}, "nowhere"),
    "nothing": (lambda cast: {}, "nowhere"),
    "zero": (lambda cast: {"organizationId": 0}, None),
    "too great an id": (lambda cast: {"organizationId": 2**63}, None),
    "an empty id": (lambda cast: {"organizationId": ""}, None),
    "a key that nobody has": (lambda cast: {"organizationKey": "mars"}, None),
    "a truth": (lambda cast: {"organizationId": True}, None),
    "a fraction": (lambda cast: {"organizationId": 1.5}, None),
    "a list": (lambda cast: {"organizationKey": ["oslo"]}, None),
}
"""What a context names, and the organization that is meant; None where it is none that there is."""


@pytest.fixture
def sources(cast: Cast) -> dict[int | None, str]:
    """A flag is set on each of some organizations, so that an answer tells whose it is."""
    twin = tree_operations.create(name="Twin", key=str(cast.oslo.pk), parent_id=cast.rival.pk)
    free = tree_operations.create(name="Free", key=str(FREE_ID), parent_id=cast.rival.pk)
    places = {"oslo": cast.oslo, "rome": cast.rome, "its-twin": twin, "free": free}
    for place in places.values():
        set_flag(organization_id=place.pk, flag_key="f", enabled=True)
    return {None: "nowhere", **{place.pk: name for name, place in places.items()}}


@pytest.mark.parametrize(("context", "meant"), CONTEXTS.values(), ids=CONTEXTS)
def test_a_context_means_the_same_to_ofrep_and_to_the_provider(
    asking: Asking, cast: Cast, sources: dict[int | None, str], context: Context, meant: str | None
) -> None:
    over_http = asking.one("f", **context(cast) | {"targetingKey": "u"})
    api.set_provider(FlagsiteProvider())
    in_process = api.get_client().get_boolean_details("f", False, EvaluationContext("u", context(cast)))
    api.clear_providers()
    if meant is None:
        assert (over_http.status, over_http.body["errorCode"], in_process.error_code) == (
            400, "INVALID_CONTEXT", "INVALID_CONTEXT",
        )  # fmt: skip
        return
    assert sources[over_http.body["metadata"].get("sourceOrganizationId")] == meant
    assert sources[in_process.flag_metadata.get("sourceOrganizationId")] == meant


def test_a_context_without_an_id_is_not_read_as_null(
    asking: Asking, cast: Cast, sources: dict[int | None, str]
) -> None:
    body = {"context": {"organizationId": None, "organizationKey": "oslo"}}  # `one` leaves out what is None
    answer = asking.post("/ofrep/v1/evaluate/flags/f", body)
    assert answer.body["metadata"]["sourceOrganizationId"] == cast.oslo.pk


@pytest.mark.parametrize("given", [True, False, 1.5, [1], {}, {"id": 1}])
def test_what_is_neither_number_nor_text_names_no_organization_whatever_keys_there_are(
    asking: Asking, cast: Cast, given: Any
) -> None:
    tree_operations.create(name="Odd", key=str(given), parent_id=cast.rival.pk)
    set_flag(organization_id=cast.oslo.pk, flag_key="f", enabled=True)
    answer = asking.one("f", organizationId=given)
    assert (answer.status, answer.body["errorCode"]) == (400, "INVALID_CONTEXT")
    assert answer.body["errorDetails"] == "The context's organizationId must be an integer or a string."


def test_an_id_or_a_key_means_the_same_in_django_code_and_in_questions(
    admin_key: str, cast: Cast, sources: dict[int | None, str]
) -> None:
    key = str(cast.oslo.pk)
    for asked, whose, meant in (
        ({"organizationId": cast.oslo.pk}, cast.oslo.pk, "oslo"),
        ({"organizationKey": "oslo"}, "oslo", "oslo"),
        ({"organizationKey": key}, key, "its-twin"),
    ):
        answer = Api(admin_key).post("/v1/feature-flags/f/check", asked).json()
        assert sources[answer["sourceOrganizationId"]] == meant
        metadata = orjson.loads(resolve("f", None, whose, None).json)["metadata"]
        assert sources[metadata["sourceOrganizationId"]] == meant
    assert is_enabled("f", organization=cast.oslo)
