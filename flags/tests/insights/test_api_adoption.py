"""How far a flag has come, over HTTP: on and off, who asks for it, down the tree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights import adoption, time_limit
from flags.insights.adoption_counts import count_adoption
from flags.insights.models import FlagUse, FlagUseTotal
from flags.states.set_flag import set_flag
from jobs.engine.runner import run_next
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tree import browser, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
ADOPTION = "/v1/feature-flags/checkout/adoption"


@pytest.fixture
def api(cast: Cast, reader_key: str) -> Api:
    return Api(reader_key)


@pytest.fixture
def flag(cast: Cast) -> Flag:
    """On for acme but not for oslo; nobody has set it for rival."""
    for organization, enabled in ((cast.acme, True), (cast.oslo, False)):
        set_flag(organization_id=organization.pk, flag_key="checkout", enabled=enabled)
        while run_next("propagation"):
            pass
    return Flag.objects.get()


def used(flag_id: int, organization: Organization | None, evaluations: int) -> None:
    where = organization.pk if organization else 0
    now = timezone.now()
    FlagUse.objects.create(flag_id=flag_id, organization_id=where, evaluations=evaluations, last_evaluated_at=now)
    FlagUseTotal.objects.update_or_create(
        flag_id=flag_id, defaults={"evaluations": evaluations, "first_evaluated_at": now, "last_evaluated_at": now}
    )


def below(answer: Any) -> list[Any]:
    return [(one["key"], one["organizationsOn"], one["organizationsOff"]) for one in answer["below"]]


def test_what_counting_may_take_is_no_matter_of_what_follows_in_the_same_transaction(cast: Cast) -> None:
    def limits() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('jit'), current_setting('statement_timeout')")
            return cursor.fetchone()

    flag, before = Flag.objects.create(key="checkout"), limits()
    assert adoption.counts_below(flag, cast.acme) is not None
    assert limits() == before


def test_all_organizations_and_the_roots(api: Api, cast: Cast, flag: Flag) -> None:
    count_adoption()
    answer = api.get(ADOPTION).json()
    assert (answer["organizationId"], answer["organizationsOn"], answer["organizationsOff"]) == (None, 5, 3)
    assert answer["organizationsUnset"] == 2
    assert answer["holdOuts"] == "on for 62.5 %, off for 3 under 1 parent (Oslo), 2 of them by default"
    assert below(answer) == [("acme", 5, 1), ("rival", 0, 2)]
    assert (answer["moreAfter"], answer["stale"], answer["reasons"]) == (None, False, [])


@pytest.mark.parametrize("rule", ["killed", "archived", "prerequisite"])
def test_a_flag_that_is_off_for_everybody_is_on_nowhere(api: Api, cast: Cast, flag: Flag, rule: str) -> None:
    if rule == "prerequisite":
        service.create(key="needed", values={"killed": True, "enabled": True}, by="user:olga")
    values: dict[str, Any] = {"prerequisites": ["needed"]} if rule == "prerequisite" else {rule: True}
    service.update(key=flag.key, values=values, by="user:olga")
    for where in ({}, {"organizationId": cast.acme.pk}):
        answer = api.get(ADOPTION, **where).json()
        on, off = answer["organizationsStoredOn"], answer["organizationsStoredOff"]
        assert (on, off) == ((5, 1) if where else (5, 3))
        assert (answer["organizationsOn"], answer["organizationsOff"]) == (0, on + off)
        assert (answer["offForEverybody"], answer["holdOuts"]) == (rule, "")
        for one in answer["below"]:
            stored = one["organizationsStoredOn"] + one["organizationsStoredOff"]
            assert (one["organizationsOn"], one["organizationsOff"]) == (0, stored)


def test_a_flag_that_is_on_somewhere_has_the_stored_figures(api: Api, flag: Flag) -> None:
    answer = api.get(ADOPTION).json()
    assert answer["offForEverybody"] is None
    assert (answer["organizationsStoredOn"], answer["organizationsStoredOff"]) == (5, 3)


def test_a_flag_that_was_not_counted_yet_is_counted_now(api: Api, flag: Flag) -> None:
    answer = api.get(ADOPTION).json()
    assert (answer["organizationsOn"], answer["organizationsOff"], answer["organizationsUnset"]) == (5, 3, 2)
    assert answer["countedAt"]


def test_one_walks_down(api: Api, cast: Cast, flag: Flag) -> None:
    answer = api.get(ADOPTION, organizationId=cast.acme.pk).json()
    assert (answer["organizationsOn"], answer["organizationsOff"], answer["organizationsUnset"]) == (5, 1, 0)
    assert below(answer) == [("north", 2, 1), ("south", 2, 0)]
    assert answer["holdOuts"] == "on for 83.3 %, off for 1 under 1 parent (Oslo)"
    answer = api.get(ADOPTION, organizationId=cast.oslo.pk).json()
    assert (answer["organizationsOn"], answer["organizationsOff"], answer["below"]) == (0, 1, [])


def test_evaluations_are_told_by_name_and_with_all(api: Api, cast: Cast, flag: Flag) -> None:
    used(flag.pk, cast.oslo, 3)
    used(0, cast.rome, 5)
    acme = api.get(ADOPTION, organizationId=cast.acme.pk).json()
    assert (acme["evaluations"]["byName"], acme["evaluations"]["withAll"]) == (3, 5)
    north, south = acme["below"]
    assert (north["evaluations"]["byName"], north["evaluations"]["lastWithAllAt"]) == (3, None)
    assert north["lastEvaluatedAt"] == north["evaluations"]["lastByNameAt"] != None  # noqa: E711
    assert (south["evaluations"]["byName"], south["evaluations"]["withAll"]) == (0, 5)
    everywhere = api.get(ADOPTION).json()["evaluations"]
    assert (everywhere["byName"], everywhere["withAll"]) == (3, 5)


def test_what_ended_before_the_flag_was_made_is_no_evaluation_of_it(api: Api, cast: Cast, flag: Flag) -> None:
    used(0, cast.rome, 5)
    used(0, cast.oslo, 4)
    FlagUse.objects.filter(organization_id=cast.oslo.pk).update(last_evaluated_at=flag.created_at - timedelta(hours=1))
    acme = api.get(ADOPTION, organizationId=cast.acme.pk).json()
    assert acme["evaluations"]["withAll"] == 5
    north, south = acme["below"]
    assert (north["evaluations"]["withAll"], north["lastEvaluatedAt"]) == (0, None)
    assert (south["evaluations"]["withAll"], south["lastEvaluatedAt"]) == (5, south["evaluations"]["lastWithAllAt"])
    assert api.get(ADOPTION).json()["evaluations"]["withAll"] == 4
    FlagUseTotal.objects.update(last_evaluated_at=flag.created_at - timedelta(hours=1))
    everywhere = api.get(ADOPTION).json()
    assert (everywhere["evaluations"]["withAll"], everywhere["lastEvaluatedAt"]) == (0, None)


def test_an_evaluation_in_the_second_in_which_the_flag_was_made_is_one(api: Api, cast: Cast, flag: Flag) -> None:
    used(0, cast.rome, 5)
    second = flag.created_at.replace(microsecond=0)
    FlagUse.objects.update(last_evaluated_at=second)
    FlagUseTotal.objects.update(last_evaluated_at=second)
    assert api.get(ADOPTION).json()["evaluations"]["withAll"] == 5
    assert api.get(ADOPTION, organizationId=cast.acme.pk).json()["evaluations"]["withAll"] == 5


def test_a_bound_key_sees_its_own_subtree_only(cast: Cast, flag: Flag, acme_key: str) -> None:
    used(flag.pk, cast.rival_store, 7)
    used(flag.pk, cast.oslo, 2)
    count_adoption()
    api = Api(acme_key)
    answer = api.get(ADOPTION).json()
    assert (answer["organizationId"], answer["organizationsOn"], answer["organizationsOff"]) == (cast.acme.pk, 5, 1)
    assert answer["evaluations"]["byName"] == 2
    assert [one["key"] for one in answer["below"]] == ["acme"]
    for parameters in ({"organizationId": cast.rival.pk}, {"after": cast.rival.pk}):
        assert kind_of(api.get(ADOPTION, **parameters)) == "organization-not-found"


def test_a_bound_key_is_told_why_without_figures_of_others(cast: Cast, flag: Flag, acme_key: str) -> None:
    used(0, cast.rival, 7)
    FlagUseTotal.objects.update(first_evaluated_at="2020-01-01T00:00Z", last_evaluated_at="2020-01-02T00:00Z")
    Flag.objects.update(created_at="2019-01-01T00:00Z")
    reasons = Api(acme_key).get(ADOPTION).json()["reasons"]
    assert reasons == [{"reason": "unused", "detail": "Nobody has evaluated the flag for long."}]


def test_sources_above_what_the_key_sees_are_not_named(cast: Cast, flag: Flag) -> None:
    set_flag(organization_id=cast.bergen.pk, flag_key="checkout", enabled=False)
    key = AccessKey.objects.create_key(name="north", role=Role.READER, organization=cast.north)[1]
    answer = Api(key).get(ADOPTION).json()
    assert answer["holdOuts"] == f"off for 66.6 %, on for 1 under 1 parent (organization {cast.acme.pk})"


def test_many_below_one_parent_come_in_pages(api: Api, cast: Cast, flag: Flag, monkeypatch: Any) -> None:
    monkeypatch.setattr(browser, "MAX_SHOWN", 2)
    for name in "abc":
        tree_operations.create(name=name, key=name, parent_id=cast.south.pk)
    first = api.get(ADOPTION, organizationId=cast.south.pk).json()
    assert [one["key"] for one in first["below"]] == ["rome", "a"]
    second = api.get(ADOPTION, organizationId=cast.south.pk, after=first["moreAfter"]).json()
    assert [one["key"] for one in second["below"]] == ["b", "c"]
    assert second["moreAfter"] is None


def test_what_takes_too_long_to_count_is_null(api: Api, cast: Cast, flag: Flag, monkeypatch: Any) -> None:
    monkeypatch.setattr(time_limit, "COUNT_SECONDS", 0.05)
    monkeypatch.setattr(adoption, "SHARES", "SELECT pg_sleep(1) WHERE %(flag)s > 0")
    answer = api.get(ADOPTION).json()
    assert below(answer) == [("acme", None, None), ("rival", None, None)]
    assert answer["below"][0]["lastEvaluatedAt"] is None


@pytest.mark.parametrize("stores", [1, 30])
def test_the_number_of_queries_does_not_grow(api: Api, cast: Cast, flag: Flag, stores: int) -> None:
    for number in range(stores):
        tree_operations.create(name=f"s{number}", key=f"s{number}", parent_id=cast.south.pk)
    with CaptureQueriesContext(connection) as queries:
        assert len(api.get(ADOPTION, organizationId=cast.south.pk).json()["below"]) == stores + 1
    assert len([query for query in queries if "flags_flagstate" in query["sql"]]) == 3


def test_what_is_not_there_or_makes_no_sense(api: Api, cast: Cast, flag: Flag) -> None:
    assert kind_of(api.get("/v1/feature-flags/nothing/adoption")) == "flag-not-found"
    assert wrong_fields(api.get(ADOPTION, organizationId="")) == {"organizationId"}
    assert wrong_fields(api.get(ADOPTION, org=1)) == {"org"}
