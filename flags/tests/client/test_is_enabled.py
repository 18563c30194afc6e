"""is_enabled: on or off for a user of an organization, and what is answered where that cannot be told."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections
from django.utils.functional import SimpleLazyObject

from conftest import Cast
from flags.client import ais_enabled, asking_for, is_enabled
from flags.client.context import InvalidOrganization
from flags.definitions import loader
from flags.definitions.models import Flag
from flags.errors import TargetingKeyMissing
from flags.evaluation.rollout import bucketing
from flags.serving import usage_counter
from flags.serving.evaluation_cache import EvaluationCache
from flags.states.set_flag import set_flag

pytestmark = pytest.mark.django_db
HALF_A_CHARACTER = "\ud800"
"""Which JSON can bring, and which cannot be written."""


def half(key: str = "half", **fields: Any) -> Flag:
    return Flag.objects.create(key=key, enabled=True, rollout_percentage=50, salt="s", **fields)


def in_half(user: str) -> bool:
    return bucketing("s", "half").bucket(user.encode()) < 50_000


def test_an_organizations_value_counts(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert is_enabled("checkout", organization=cast.oslo.pk)
    assert is_enabled("checkout", organization="oslo")
    assert is_enabled("checkout", organization=cast.oslo)
    assert not is_enabled("checkout", organization=cast.bergen)
    assert not is_enabled("checkout")


def test_a_rollout_reaches_users_by_their_bucket(cast: Cast) -> None:
    half()
    users = [f"user-{number}" for number in range(200)]
    assert [is_enabled("half", user_id=user) for user in users] == [in_half(user) for user in users]
    assert is_enabled("half", user_id=17) == in_half("17")


def test_a_missing_user_is_an_error_unless_a_default_is_given(cast: Cast) -> None:
    half()
    with pytest.raises(TargetingKeyMissing, match="needs a targeting key"):
        is_enabled("half")
    assert is_enabled("half", default=True) is True
    assert is_enabled("half", default=False) is False


def test_a_rollout_by_a_formula_of_a_later_flagsite_is_the_default(cast: Cast) -> None:
    half()
    Flag.objects.filter(key="half").update(hash_version=99)
    assert [is_enabled("half", user_id="u", default=default) for default in (None, True)] == [False, True]


def test_an_unknown_flag_or_organization_is_the_default_and_said_once(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    Flag.objects.create(key="known", enabled=True)
    assert [is_enabled("nothing"), is_enabled("nothing", default=True), is_enabled("nothing")] == [False, True, False]
    assert is_enabled("known", organization=987_654) is False
    said = [record.msg["featureFlagName"] for record in caplog.records if "flag_not_evaluated" in str(record.msg)]
    assert said == ["nothing", "known"]


def test_half_a_character_as_user_id_is_like_no_user(cast: Cast) -> None:
    half()
    Flag.objects.create(key="on", enabled=True, whitelist=["alice"])
    assert is_enabled("on", user_id=HALF_A_CHARACTER)
    assert is_enabled("half", user_id=HALF_A_CHARACTER, default=True) is True
    assert is_enabled("half", user_id=HALF_A_CHARACTER, default=False) is False
    with pytest.raises(TargetingKeyMissing):
        is_enabled("half", user_id=HALF_A_CHARACTER)


@pytest.mark.parametrize(
    "clause",
    [
        {"attribute": "targetingKey", "op": "exists"},
        {"attribute": "targetingKey", "op": "in", "values": ["alice"], "negate": True},
    ],
)
def test_a_rule_about_the_user_does_not_match_half_a_character(cast: Cast, clause: dict[str, Any]) -> None:
    Flag.objects.create(key="ruled", targeting_rules=[{"id": "r", "clauses": [clause], "serve": {"variant": "on"}}])
    assert is_enabled("ruled", user_id="bob")
    assert not is_enabled("ruled", user_id=HALF_A_CHARACTER)


@pytest.mark.parametrize("key", [HALF_A_CHARACTER, "oslo\0"])
def test_a_key_that_no_organization_can_have_is_the_default(cast: Cast, key: str) -> None:
    Flag.objects.create(key="on", enabled=True)
    assert is_enabled("on", organization=key) is False
    assert is_enabled("on", organization=key, default=True) is True


@pytest.mark.parametrize("given", [True, 1.5, ["oslo"], {"id": 1}, b"oslo"])
def test_what_cannot_be_an_organization_is_a_mistake_unless_a_default_is_given(cast: Cast, given: Any) -> None:
    Flag.objects.create(key="on", enabled=True)
    with pytest.raises(InvalidOrganization, match=f"{type(given).__name__} is none of them"):
        is_enabled("on", organization=given)
    assert is_enabled("on", organization=given, default=True) is True
    assert is_enabled("on", organization=given, default=False) is False


def test_an_organization_that_is_loaded_when_it_is_looked_at_is_one(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert is_enabled("checkout", organization=SimpleLazyObject(lambda: cast.oslo))


def test_the_environment_is_that_of_the_setting_unless_said(cast: Cast, settings: Any) -> None:
    Flag.objects.create(key="staged", environments={"staging": True})
    assert not is_enabled("staged")
    assert is_enabled("staged", environment="staging")
    settings.FLAG_ENVIRONMENT = "staging"
    assert is_enabled("staged")
    assert not is_enabled("staged", environment="production")


def test_a_context_says_for_whom_and_arguments_win(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    with asking_for(organization=cast.oslo, user_id="alice"):
        assert is_enabled("checkout")
        assert not is_enabled("checkout", organization=cast.rome)
        with asking_for(organization=cast.rome):
            assert not is_enabled("checkout")
        assert is_enabled("checkout")
    assert not is_enabled("checkout")


def test_what_is_known_is_answered_while_the_database_is_away(
    cast: Cast, evaluation_cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    half()
    assert is_enabled("half", user_id="alice", organization=cast.oslo) == in_half("alice")
    with django_assert_num_queries(0):
        assert is_enabled("half", user_id="bob", organization=cast.oslo) == in_half("bob")

    def away(*_: Any) -> Any:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("flags.evaluation.context_loader.load_organization", away)
    monkeypatch.setattr(loader, "load_definitions", away)
    assert is_enabled("half", user_id="bob", organization=cast.oslo) == in_half("bob")
    assert is_enabled("half", user_id="bob", organization=cast.rome) is False
    assert is_enabled("half", user_id="bob", organization=cast.rome, default=True) is True


def test_evaluations_are_counted(cast: Cast) -> None:
    half()
    usage_counter.forget_counts()
    is_enabled("half", user_id="alice", organization=cast.oslo)
    is_enabled("half", user_id="bob")
    assert set(usage_counter._counts) == {(cast.oslo.pk, "half", ""), (None, "half", "")}
    usage_counter.forget_counts()


@pytest.mark.django_db(transaction=True)
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asynchronous_code_may_ask_both_ways_also_for_what_is_not_known_yet(
    evaluation_cache: EvaluationCache, transactional_db: None
) -> None:
    await Flag.objects.acreate(key="on", enabled=True)
    assert is_enabled("on")
    evaluation_cache.clear()
    assert await ais_enabled("on")
    assert await ais_enabled("on")
    assert not await ais_enabled("nothing")
    assert await ais_enabled("on", organization=HALF_A_CHARACTER, default=True)
    assert await ais_enabled("on", organization=True, default=True)
    with pytest.raises(InvalidOrganization):
        await ais_enabled("on", organization=True)
    await sync_to_async(connections.close_all)()  # of the thread in which Django asks
