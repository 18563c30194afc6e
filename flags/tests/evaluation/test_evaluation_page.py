"""The page on which people find out what a user of an organization gets, and why: the same answers as explain's."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from conftest import Cast
from flags.definitions import service
from flags.states.set_flag import set_flag
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db


def made(key: str = "checkout", **values: Any) -> str:
    """Create a flag; returns the address of its page."""
    flag = service.create(key=key, by="user:ada", values=values)
    return f"/admin/flags/flag/{flag.pk}/evaluate/"


def words(client: Client, address: str, **values: Any) -> str:
    """The text of the page after the form was sent."""
    return text(shown(client.post(address, {"organization": "", "user": "", "environment": ""} | values)))


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page[page.index('id="main"') :])).split())


def test_the_page_says_who_gets_what_with_each_step_in_words(cast: Cast) -> None:
    address = made(rollout_percentage=Decimal(0), whitelist=["user-1"], environments={"staging": True})
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    client = signed_in("viewer")
    page = words(client, address, organization="oslo", user="user-1")
    assert "on for the user user-1 of Oslo" in page
    assert "decided by the rule whitelist" in page
    page = words(client, address, organization="oslo", user="user-2")
    assert "off for the user user-2 of Oslo" in page
    assert "Is the user inside the rollout?" in page
    assert "Stored values on the path" in page
    page = words(client, address, organization="oslo", user="user-2", environment="staging")
    assert "on for the user user-2 of Oslo in staging" in page


def test_page_and_api_give_the_same_steps(cast: Cast, reader_key: str) -> None:
    address = made(rollout_percentage=Decimal(50))
    set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    address_of_api = f"/v1/feature-flags/checkout/explain?userId=user-7&organizationId=id:{cast.oslo.pk}"
    said = Client().get(address_of_api, headers={"Authorization": f"Bearer {reader_key}"}).json()
    page = words(signed_in("viewer"), address, organization="oslo", user="user-7")
    for one in (*(step["detail"] for step in said["steps"]), *(entry["why"] for entry in said["organizations"])):
        assert one in page


def test_a_rollout_without_a_user_says_what_is_missing_and_shows_the_steps_before_it(cast: Cast) -> None:
    address = made(rollout_percentage=Decimal(50))
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    page = words(signed_in("viewer"), address, organization="oslo")
    assert "targeting key" in page
    assert "What is the organization's stored value?" in page


def test_a_link_from_the_organization_shows_the_result_at_once(cast: Cast) -> None:
    address = made()
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    client = signed_in("viewer")
    link = f"{address}?organization=id:{cast.oslo.pk}"
    assert f'href="{link}"' in shown(client.get(f"/admin/orgs/organization/{cast.oslo.pk}/change/"))
    assert "on for a request without a user of Oslo" in text(shown(client.get(link)))


def test_a_bound_person_evaluates_for_the_own_subtree_only(cast: Cast) -> None:
    address = made()
    set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    client = signed_in("viewer", bound_to=cast.north)
    page = text(shown(client.get(address)))
    assert "of North" in page
    refused = words(client, address, organization="rome")
    assert "No organization that you may see" in refused
    assert "OpenFeature reason" not in refused
    assert "This field is required." in words(client, address)


def test_a_flag_that_a_person_may_not_see_is_not_there(cast: Cast) -> None:
    address = made()
    set_flag(organization_id=cast.rome.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    assert signed_in("viewer", bound_to=cast.north).get(address).status_code == 404


def test_an_evaluation_on_the_page_writes_nothing(cast: Cast, django_assert_max_num_queries: Any) -> None:
    address = made()
    client = signed_in("viewer")
    with django_assert_max_num_queries(15) as queries:
        words(client, address, organization="oslo", user="user-1")
    writing = [query["sql"] for query in queries if re.match(r"(INSERT|UPDATE|DELETE)", query["sql"])]
    assert writing == []


def test_the_page_of_a_link_has_no_attributes_and_not_the_value_null(cast: Cast) -> None:
    page = shown(signed_in("viewer").get(f"{made()}?organization=oslo"))
    (attributes,) = re.findall(r'<textarea name="attributes"[^>]*>([^<]*)</textarea>', page)
    assert attributes.strip() == "{}"
