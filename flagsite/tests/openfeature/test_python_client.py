"""PyPI's `openfeature-provider-ofrep` on `openfeature-sdk`, as it comes, pointed at a running Flagsite."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from flagsite.tests.openfeature.served import (
    NORTH,
    NORTH_KEY,
    NORTH_STORE,
    NORTH_STORE_KEY,
    ROOT,
    SOUTH_STORE,
    SOUTH_STORE_KEY,
    Served,
)

pytestmark = pytest.mark.slow
CLIENT = "flagsite-tests"


def client_of(url: str, key: str) -> OpenFeatureClient:
    """As docs/openfeature.md says it."""
    provider = OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {key}"})
    api.set_provider_and_wait(provider, CLIENT)
    return api.get_client(CLIENT)


@pytest.fixture
def client(flagsite: Served) -> Iterator[OpenFeatureClient]:
    yield client_of(flagsite.url, flagsite.key)
    api.clear_providers()


def of(organization: int | str, user: str | None = None) -> EvaluationContext:
    """A context that names an organization by its id or its key."""
    name = "organizationId" if isinstance(organization, int) else "organizationKey"
    return EvaluationContext(user, {name: organization})


def test_a_flag_is_on_where_an_ancestor_has_it_on_and_off_elsewhere(
    flagsite: Served, client: OpenFeatureClient
) -> None:
    flagsite.define("py.tree")
    flagsite.switch_and_wait(NORTH, "py.tree", on=True)

    assert client.get_boolean_value("py.tree", False, of(NORTH_STORE)) is True
    assert client.get_boolean_value("py.tree", False, of(NORTH_STORE_KEY)) is True
    assert client.get_boolean_value("py.tree", True, of(SOUTH_STORE)) is False
    assert client.get_boolean_value("py.tree", True, of(SOUTH_STORE_KEY)) is False
    assert client.get_boolean_value("py.tree", True) is False  # nobody named: the flag's default


def test_details_say_where_the_value_comes_from(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.details")
    flagsite.switch_and_wait(NORTH, "py.details", on=True)

    details = client.get_boolean_details("py.details", False, of(NORTH_STORE))

    assert (details.value, details.variant, details.reason) == (True, "on", Reason.TARGETING_MATCH)
    assert details.error_code is None
    assert details.flag_metadata["rule"] == "organization"
    assert details.flag_metadata["sourceOrganizationId"] == NORTH
    assert details.flag_metadata == flagsite.evaluated("py.details", organizationId=NORTH_STORE)["metadata"]


def test_a_default_is_static(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.default", enabled=True)

    details = client.get_boolean_details("py.default", False, of(ROOT))

    assert (details.value, details.variant, details.reason) == (True, "on", Reason.STATIC)


def test_a_rollout_splits_users_the_same_way_for_every_client(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.rollout", enabled=True, rollout_percentage="30.000", salt="0123abcd")
    users = [f"user-{number}" for number in range(200)]

    answers = {user: client.get_boolean_details("py.rollout", False, of(ROOT, user)) for user in users}

    inside = {user for user, details in answers.items() if details.value}
    assert 35 <= len(inside) <= 85
    assert {details.reason for details in answers.values()} == {Reason.SPLIT}
    assert {details.variant for details in answers.values()} == {"on", "off"}
    flagsite.define("py.rollout", enabled=True, rollout_percentage="60.000", salt="0123abcd")
    assert all(client.get_boolean_value("py.rollout", False, of(ROOT, user)) for user in inside)


def test_a_whitelisted_user_has_it_though_it_is_off(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.whitelist", whitelist=["ada"])

    details = client.get_boolean_details("py.whitelist", False, of(ROOT, "ada"))

    assert (details.value, details.reason) == (True, Reason.TARGETING_MATCH)
    assert details.flag_metadata["rule"] == "whitelist"
    assert client.get_boolean_value("py.whitelist", True, of(ROOT, "bob")) is False


def test_an_environment_forces_the_value(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.environment", environments='{"staging": true}')

    assert client.get_boolean_value("py.environment", False, EvaluationContext(None, {"environment": "staging"}))
    assert not client.get_boolean_value("py.environment", True, EvaluationContext(None, {"environment": "production"}))


def test_an_unknown_flag_gives_the_codes_own_default(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("py.nobody-made-this", True, of(ROOT))

    assert (details.value, details.reason, details.error_code) == (True, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND)
    assert details.error_message == "There is no flag 'py.nobody-made-this'."


def test_a_rollout_without_targeting_key_is_an_error_that_says_so(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.whom", enabled=True, rollout_percentage="50.000")

    details = client.get_boolean_details("py.whom", True, of(ROOT))

    assert (details.value, details.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
    assert details.error_message == "The rollout of the flag 'py.whom' needs a targeting key, and the request has none."


def test_an_unknown_organization_is_an_error_and_no_guess(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.where", enabled=True)

    details = client.get_boolean_details("py.where", False, of("nobody-has-this-key"))

    assert (details.value, details.error_code) == (False, ErrorCode.INVALID_CONTEXT)
    assert details.error_message == "There is no such organization, or it is not yours."


def test_a_flag_asked_for_as_another_type_is_a_mismatch(flagsite: Served, client: OpenFeatureClient) -> None:
    flagsite.define("py.type", enabled=True)

    assert client.get_string_details("py.type", "no", of(ROOT)).error_code is ErrorCode.TYPE_MISMATCH
    assert client.get_float_details("py.type", 0.5, of(ROOT)).error_code is ErrorCode.TYPE_MISMATCH
    assert client.get_object_details("py.type", {}, of(ROOT)).error_code is ErrorCode.TYPE_MISMATCH


def test_a_wrong_key_gives_the_default_and_says_unauthorized(flagsite: Served) -> None:
    flagsite.define("py.unauthorized", enabled=True)

    details = client_of(flagsite.url, "aaaaaaaa.wrong").get_boolean_details("py.unauthorized", False)

    assert (details.value, details.error_code, details.error_message) == (False, ErrorCode.GENERAL, "unauthorized")


def test_a_key_of_a_subtree_evaluates_for_it_alone_and_without_being_told(flagsite: Served) -> None:
    flagsite.define("py.subtree")
    flagsite.switch_and_wait(NORTH, "py.subtree", on=True)
    client = client_of(flagsite.url, flagsite.north_key)

    assert client.get_boolean_value("py.subtree", False) is True  # the key's own organization
    assert client.get_boolean_value("py.subtree", False, of(NORTH_STORE)) is True
    for foreign in (ROOT, SOUTH_STORE, SOUTH_STORE_KEY, 4711):
        details = client.get_boolean_details("py.subtree", False, of(foreign))
        assert (details.value, details.error_code) == (False, ErrorCode.INVALID_CONTEXT)


@pytest.mark.parametrize("named", [NORTH, NORTH_KEY])
def test_the_base_url_may_name_the_organization(flagsite: Served, named: int | str) -> None:
    flagsite.define("py.base-url")
    flagsite.switch_and_wait(NORTH, "py.base-url", on=True)
    client = client_of(f"{flagsite.url}/organizations/{named}", flagsite.key)

    assert client.get_boolean_value("py.base-url", False) is True
    assert client.get_boolean_value("py.base-url", False, of(SOUTH_STORE)) is True  # the path wins


def test_too_many_evaluations_pause_the_client_for_as_long_as_it_is_told(flagsite: Served) -> None:
    flagsite.define("py.limit", enabled=True)
    with flagsite.another_web(EVALUATION_RATE_LIMIT="2") as url:
        client = client_of(url, flagsite.key)
        values = [client.get_boolean_details("py.limit", False) for _ in range(3)]
    provider = client.provider

    assert [details.value for details in values] == [True, True, False]
    assert "Rate limited, retry after: " in str(values[2].error_message)
    assert isinstance(provider, OFREPProvider)
    assert provider.retry_after is not None
    assert timedelta(seconds=40) < provider.retry_after - datetime.now(UTC) <= timedelta(seconds=60)
    paused = client.get_boolean_details("py.limit", False)  # the server is gone by now, and it does not even ask
    assert "OFREP evaluation paused due to TooManyRequests" in str(paused.error_message)
