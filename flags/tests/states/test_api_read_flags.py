"""Reading flags over HTTP: what holds for an organization, and where it comes from."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from orgs.tests.api import Api, kind_of


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def test_a_value_set_here_is_not_inherited(api: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="new-ui", enabled=True)
    answer = api.get(f"/{cast.oslo.pk}/new-ui").json()
    assert answer.pop("updatedAt").endswith("Z")
    assert answer == {
        "featureFlag": {
            "id": Flag.objects.get().pk,
            "name": "new-ui",
            "enabled": True,
            "organizationId": cast.oslo.pk,
            "storedValue": True,
            "reason": "TARGETING_MATCH",
            "rule": "organization",
            "dependsOnUser": False,
            "rolloutPercentage": None,
        },
        "sourceOrganizationId": cast.oslo.pk,
        "inherited": False,
        "jobId": None,
    }


@pytest.mark.django_db(transaction=True)
def test_a_value_set_above_is_inherited_and_names_its_job(api: Api, cast: Cast, settings: Any) -> None:
    settings.JOBS_INLINE = True
    accepted = set_flag(organization_id=cast.acme.pk, flag_key="new-ui", enabled=True)
    assert accepted.job is not None
    answer = api.get(f"/{cast.oslo.pk}/new-ui").json()
    expected = (True, cast.acme.pk, accepted.job.pk)
    assert (answer["inherited"], answer["sourceOrganizationId"], answer["jobId"]) == expected
    assert answer["featureFlag"]["organizationId"] == cast.oslo.pk


def test_a_flag_that_was_never_set_above_is_off(api: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.rival_store.pk, flag_key="new-ui", enabled=True)
    answer = api.get(f"/{cast.oslo.pk}/new-ui").json()
    assert answer["featureFlag"]["enabled"] is False
    assert (answer["sourceOrganizationId"], answer["inherited"], answer["updatedAt"]) == (None, False, None)


def test_a_flag_that_does_not_exist_is_not_found(api: Api, cast: Cast) -> None:
    response = api.get(f"/{cast.oslo.pk}/nothing")
    assert (response.status_code, kind_of(response)) == (404, "flag-not-found")


def listed(api: Api, organization_id: int, **parameters: Any) -> list[tuple[str, bool, int]]:
    page = api.get(f"/organizations/{organization_id}/flags", **parameters).json()["results"]
    return [
        (state["featureFlag"]["name"], state["featureFlag"]["enabled"], state["sourceOrganizationId"]) for state in page
    ]


def test_all_values_of_an_organization_are_listed(api: Api, cast: Cast) -> None:
    for name, enabled in (("b", True), ("a", False)):
        set_flag(organization_id=cast.oslo.pk, flag_key=name, enabled=enabled)
    set_flag(organization_id=cast.bergen.pk, flag_key="c", enabled=True)
    assert listed(api, cast.oslo.pk) == [("b", True, cast.oslo.pk), ("a", False, cast.oslo.pk)]
    assert api.get(f"/organizations/{cast.oslo.pk}/flags").json()["results"][0] == api.get(f"/{cast.oslo.pk}/b").json()


def test_the_list_agrees_with_the_single_read_while_an_organization_waits_for_its_rows(api: Api, cast: Cast) -> None:
    flags = [Flag.objects.create(key=key) for key in "abc"]
    rows = [(cast.acme, 0, True), (cast.north, 0, False), (cast.acme, 1, True), (cast.oslo, 2, True)]
    for organization, index, enabled in rows:
        FlagState.objects.create(
            organization=organization, flag=flags[index], source=organization, enabled=enabled, change_number=1
        )
    expected = [("a", False, cast.north.pk), ("b", True, cast.acme.pk), ("c", True, cast.oslo.pk)]
    assert listed(api, cast.oslo.pk) == expected
    page = api.get(f"/organizations/{cast.oslo.pk}/flags").json()["results"]
    assert page == [api.get(f"/{cast.oslo.pk}/{key}").json() for key in "abc"]


def test_the_list_comes_in_pages_both_ways(api: Api, cast: Cast) -> None:
    for number in range(5):
        set_flag(organization_id=cast.oslo.pk, flag_key=f"f{number}", enabled=True)
    pages = [api.get(f"/organizations/{cast.oslo.pk}/flags", pageSize=2).json()]
    while pages[-1]["next"]:
        pages.append(api.client.get(pages[-1]["next"]).json())
    names = [[state["featureFlag"]["name"] for state in page["results"]] for page in pages]
    assert names == [["f0", "f1"], ["f2", "f3"], ["f4"]]
    assert api.client.get(pages[2]["previous"]).json()["results"] == pages[1]["results"]
    assert api.client.get(pages[1]["previous"]).json()["results"] == pages[0]["results"]


@pytest.mark.parametrize("flags", [1, 30])
def test_the_states_take_two_queries_however_many_there_are(api: Api, cast: Cast, flags: int) -> None:
    for number in range(flags):
        set_flag(organization_id=cast.oslo.pk, flag_key=f"f{number}", enabled=True)
    listed(api, cast.oslo.pk)  # the first use of the key is recorded
    with CaptureQueriesContext(connection) as queries:
        assert len(listed(api, cast.oslo.pk)) == flags
    assert len([query for query in queries if "flags_flagstate" in query["sql"]]) == 2
    assert len(queries) == 5  # the key, the organization, what it has from above, the states, the definitions
