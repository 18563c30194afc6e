"""Code that knows OpenFeature only gets its flags from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from conftest import Cast
from flags.client import asking_for, override_flag
from flags.definitions.models import Flag
from flags.openfeature_provider import FlagsiteProvider
from flags.states.set_flag import set_flag

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(cast: Cast) -> Iterator[OpenFeatureClient]:
    api.set_provider(FlagsiteProvider())
    yield api.get_client()
    api.clear_providers()


def where(user: str | None = None, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(user, attributes)


def test_a_flag_has_its_value_reason_variant_and_provenance(client: OpenFeatureClient, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    details = client.get_boolean_details("checkout", False, where(organizationId=cast.oslo.pk))
    assert (details.value, details.reason, details.variant) == (True, Reason.TARGETING_MATCH, "on")
    assert details.flag_metadata["sourceOrganizationId"] == cast.oslo.pk
    assert client.get_boolean_value("checkout", False, where(organizationKey="oslo"))
    assert not client.get_boolean_value("checkout", True, where(organizationKey="rome"))
    with asking_for(organization="oslo"):
        assert client.get_boolean_value("checkout", False)


def test_a_rollout_is_a_split_by_the_targeting_key(client: OpenFeatureClient) -> None:
    Flag.objects.create(key="half", enabled=True, rollout_percentage=50)
    reasons = {client.get_boolean_details("half", False, where(f"u{n}")).reason for n in range(5)}
    assert reasons == {Reason.SPLIT}


@pytest.mark.parametrize(
    ("flag", "context", "code"),
    [
        ("nothing", where(), ErrorCode.FLAG_NOT_FOUND),
        ("half", where(), ErrorCode.TARGETING_KEY_MISSING),
        ("half", where("\ud800"), ErrorCode.TARGETING_KEY_MISSING),
        ("half", where("u", organizationKey="mars"), ErrorCode.INVALID_CONTEXT),
        ("half", where("u", organizationKey="\ud800"), ErrorCode.INVALID_CONTEXT),
        ("half", where("u", organizationId=True), ErrorCode.INVALID_CONTEXT),
        ("half", where("u", environment=1), ErrorCode.INVALID_CONTEXT),
        ("later", where("u"), ErrorCode.GENERAL),
    ],
)
def test_what_cannot_be_told_is_the_default_with_a_code(
    client: OpenFeatureClient, flag: str, context: EvaluationContext, code: ErrorCode
) -> None:
    Flag.objects.create(key="half", enabled=True, rollout_percentage=50)
    Flag.objects.create(key="later", enabled=True, rollout_percentage=50, hash_version=99)
    for default in (True, False):
        details = client.get_boolean_details(flag, default, context)
        assert (details.value, details.error_code, details.reason) == (default, code, Reason.ERROR)


def test_what_a_setting_names_and_cannot_be_an_organization_is_an_invalid_context(client: OpenFeatureClient) -> None:
    Flag.objects.create(key="on", enabled=True)
    with asking_for(organization=1.5):
        details = client.get_boolean_details("on", False)
    assert (details.value, details.error_code) == (False, ErrorCode.INVALID_CONTEXT)


def test_a_boolean_flag_that_is_asked_for_as_another_type_is_a_type_mismatch(client: OpenFeatureClient) -> None:
    Flag.objects.create(key="checkout", enabled=True)
    for details in (
        client.get_string_details("checkout", "a"), client.get_integer_details("checkout", 1),
        client.get_float_details("checkout", 1.5), client.get_object_details("checkout", {}),
    ):  # fmt: skip
        assert details.error_code == ErrorCode.TYPE_MISMATCH


def test_overrides_hold_here_too_also_asynchronously(client: OpenFeatureClient) -> None:
    with override_flag("new-ui"):
        details = client.get_boolean_details("new-ui", False)
        assert (details.value, details.variant, details.reason) == (True, "on", Reason.STATIC)
        assert asyncio.run(client.get_boolean_value_async("new-ui", False))
