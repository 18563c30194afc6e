"""Names that are unique in the whole installation: a refusal tells a bound caller nothing about who has the name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse

from conftest import Cast
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.people import person, shown, signed_in
from orgs.tree.models import Organization

TAKEN = "is taken. Choose another, for instance with a prefix."


@pytest.fixture
def north(cast: Cast) -> Api:
    """An administrator who sees the organization north and the stores below it."""
    return Api(access_keys.create(name="north", role=Role.ADMIN, organization=cast.north)[1])


def refusal_without(response: Any, name: str) -> dict[str, Any]:
    """The refusal, with the taken name and the id of the request left out."""
    answer: dict[str, Any] = json.loads(response.content.decode().replace(name, "NAME"))
    return {field: answer[field] for field in ("type", "title", "status", "detail")}


def test_the_refusal_of_a_taken_key_is_the_same_for_a_visible_and_a_hidden_organization(north: Api, cast: Cast) -> None:
    refusals = []
    for key in ("bergen", "rival_store", "acme"):
        response = north.post("/organizations", {"name": "Mine", "key": key, "parentId": cast.north.pk})
        assert (response.status_code, kind_of(response)) == (409, "duplicate-organization-key")
        assert response.json()["detail"] == f"The key {key!r} {TAKEN}"
        refusals.append(refusal_without(response, key))
    assert refusals == [refusals[0]] * 3


def test_the_form_of_the_admin_site_refuses_a_taken_key_in_the_same_words(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.north)
    page = reverse("admin:orgs_organization_operation", args=[cast.north.pk, "create"])
    text = shown(client.post(page, {"name": "Mine", "key": "rival_store", "reason": ""}))
    assert TAKEN in text
    assert cast.rival.name not in text
    assert Organization.objects.get(key="rival_store").parent_id == cast.rival.pk


def test_the_refusal_of_a_taken_username_is_the_same_for_a_visible_and_a_hidden_person(north: Api, cast: Cast) -> None:
    person("viewer", bound_to=cast.oslo, name="ours")
    person("viewer", bound_to=cast.rival, name="theirs")
    person("admin", name="everywhere")
    refusals = []
    for username in ("ours", "theirs", "everywhere"):
        body = {"username": username, "groups": ["viewer"], "organizationId": cast.oslo.pk}
        response = north.post("/v1/people", body)
        assert (response.status_code, kind_of(response)) == (409, "person-exists")
        assert response.json()["detail"] == f"The username {username!r} {TAKEN}"
        refusals.append(refusal_without(response, username))
    assert refusals == [refusals[0]] * 3


def test_a_person_who_is_hidden_is_not_found_as_one_who_does_not_exist(north: Api, cast: Cast) -> None:
    person("viewer", bound_to=cast.rival, name="theirs")
    hidden, missing = (north.get(f"/v1/people/{name}") for name in ("theirs", "nobody"))
    assert refusal_without(hidden, "theirs") == refusal_without(missing, "nobody")
    assert hidden.status_code == 404
