"""Creating, reading, changing and deleting organizations over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from conftest import Cast
from orgs.access.models import StaffScope
from orgs.tests.api import Api, ids, kind_of, wrong_fields
from orgs.tests.people import person
from orgs.tree import tree_operations
from orgs.tree.models import Organization


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def test_an_organization_is_created_below_its_parent(api: Api, cast: Cast) -> None:
    response = api.post("/organizations", {"name": "Malmö", "key": "malmo", "parentId": cast.north.pk})
    created = Organization.objects.get(key="malmo")
    assert response.status_code == 201
    assert response["Location"] == f"/organizations/{created.pk}"
    assert response.json() == {
        "id": created.pk,
        "key": "malmo",
        "name": "Malmö",
        "parentId": cast.north.pk,
        "depth": 2,
        "hasChildren": False,
        "descendantCount": 0,
        "createdAt": created.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updatedAt": created.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "jobs": [],
        "materialised": [],
    }


@pytest.mark.parametrize("body", [{"name": "N", "key": "n"}, {"name": "N", "key": "n", "parentId": None}])
def test_an_organization_without_parent_is_a_root(api: Api, body: dict[str, Any]) -> None:
    response = api.post("/organizations", body)
    assert (response.json()["parentId"], response.json()["depth"]) == (None, 0)


def test_a_key_that_is_taken_is_a_conflict(api: Api, cast: Cast) -> None:
    response = api.post("/organizations", {"name": "Again", "key": "oslo"})
    assert (response.status_code, kind_of(response)) == (409, "duplicate-organization-key")


@pytest.mark.parametrize("parent", [999_999, 2**63 - 1])
def test_a_parent_that_does_not_exist_is_not_found(api: Api, parent: int) -> None:
    response = api.post("/organizations", {"name": "N", "key": "n", "parentId": parent})
    assert (response.status_code, kind_of(response)) == (404, "organization-not-found")


def test_reading_tells_the_place_in_the_tree(api: Api, cast: Cast) -> None:
    answer = api.get(f"/organizations/{cast.acme.pk}").json()
    assert (answer["depth"], answer["hasChildren"], answer["descendantCount"]) == (0, True, 5)
    assert "jobs" not in answer


@pytest.mark.parametrize("path", ["0", "-1", "1.0", "٣", "99999999999999999999", "9223372036854775808", "abc"])
def test_what_is_no_id_is_not_found(api: Api, path: str) -> None:
    for address in (f"/organizations/{path}", f"/jobs/{path}", f"/{path}/flag"):
        response = api.get(address)
        assert (response.status_code, kind_of(response)) == (404, "organization-not-found"), address
    assert kind_of(api.get(f"/job-status/{path}")) == "not-found"


@pytest.mark.parametrize("address", ["/organizations/%00", "/jobs/a%00", "/%00/flag", "/v1/feature-flags/%00/adoption"])
def test_an_address_with_the_character_nul_is_not_found(api: Api, address: str) -> None:
    assert kind_of(api.get(address)) == "not-found"


def test_the_biggest_id_is_looked_up_and_not_found(api: Api) -> None:
    assert kind_of(api.get(f"/organizations/{2**63 - 1}")) == "organization-not-found"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"key": "oslo"}, ["oslo"]),
        ({"key": "OSLO"}, []),
        ({"parent": "root"}, ["acme", "rival"]),
        ({"name": "RI"}, ["rival", "rival_store"]),
        ({"name": "R", "parent": "root"}, ["rival"]),
        ({"name": "%"}, []),
        ({"name": "l_"}, ["rival_store"]),
        ({"key": "o_lo"}, []),
    ],
)
def test_the_list_is_filtered(api: Api, filters: dict[str, str], expected: list[str]) -> None:
    response = api.get("/organizations", **filters)
    assert [row["key"] for row in response.json()["results"]] == expected


def test_the_list_is_filtered_by_parent(api: Api, cast: Cast) -> None:
    assert ids(api.get("/organizations", parent=cast.north.pk)) == [cast.oslo.pk, cast.bergen.pk]


@pytest.mark.parametrize("key", ["a\u200bb", "\u202eabc", "abc\u200f", "a\u00adb", "\ufeffabc", "a\u0085b", "a\u2066b"])
def test_a_key_with_a_character_that_nobody_sees_is_refused_and_one_that_exists_stays_readable(
    api: Api, cast: Cast, key: str
) -> None:
    assert wrong_fields(api.post("/organizations", {"name": "Unseen", "key": key})) == {"key"}
    Organization.objects.filter(pk=cast.oslo.pk).update(key=key)
    assert api.get(f"/organizations/{quote(key)}").json()["key"] == key
    assert api.patch(f"/organizations/{quote(key)}", {"name": "Renamed"}).status_code == 200


@pytest.mark.parametrize("parent", ["", "x" * 260, "a\0"])
def test_a_filter_that_makes_no_sense_is_refused(api: Api, parent: str) -> None:
    assert wrong_fields(api.get("/organizations", parent=parent)) == {"parent"}


@pytest.mark.parametrize("parent", ["0", "-1", "x", "٣", "1.0", str(2**63), "null", "id:x", "key:", f"id:{2**40}"])
def test_a_filter_by_an_organization_that_does_not_exist_is_told(api: Api, parent: str) -> None:
    assert kind_of(api.get("/organizations", parent=parent)) == "organization-not-found"


def test_renaming_keeps_the_place(api: Api, cast: Cast) -> None:
    response = api.patch(f"/organizations/{cast.oslo.pk}", {"name": "Oslo S"})
    assert (response.status_code, response.json()["name"]) == (200, "Oslo S")
    assert response.json()["parentId"] == cast.north.pk
    assert response.json()["updatedAt"] > response.json()["createdAt"]


def test_moving_and_renaming_at_once(api: Api, cast: Cast) -> None:
    response = api.patch(f"/organizations/{cast.oslo.pk}", {"name": "Ostia", "parentId": cast.rome.pk})
    answer = response.json()
    assert (answer["name"], answer["parentId"], answer["depth"]) == ("Ostia", cast.rome.pk, 3)


def test_moving_to_no_parent_makes_a_root(api: Api, cast: Cast) -> None:
    answer = api.patch(f"/organizations/{cast.north.pk}", {"parentId": None}).json()
    assert (answer["parentId"], answer["depth"], answer["descendantCount"]) == (None, 0, 2)


@pytest.mark.parametrize("target", ["north", "oslo"])
def test_moving_under_itself_or_its_own_descendant_is_a_conflict(api: Api, cast: Cast, target: str) -> None:
    response = api.patch(f"/organizations/{cast.north.pk}", {"name": "Lost", "parentId": getattr(cast, target).pk})
    assert (response.status_code, kind_of(response)) == (409, "move-under-own-descendant")
    assert Organization.objects.get(pk=cast.north.pk).name == "North"


def test_a_change_of_nothing_is_refused(api: Api, cast: Cast) -> None:
    assert wrong_fields(api.patch(f"/organizations/{cast.oslo.pk}", {})) == {""}
    assert wrong_fields(api.patch(f"/organizations/{cast.oslo.pk}", {"key": "other"})) == {"key"}


def test_a_leaf_is_deleted(api: Api, cast: Cast) -> None:
    response = api.delete(f"/organizations/{cast.oslo.pk}")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(f"/organizations/{cast.oslo.pk}").status_code == 404
    assert api.delete(f"/organizations/{cast.oslo.pk}").status_code == 404


def test_a_parent_is_deleted_only_with_its_whole_subtree(api: Api, cast: Cast) -> None:
    path = f"/organizations/{cast.north.pk}"
    assert kind_of(api.delete(path)) == "organization-has-children"
    assert kind_of(api.delete(f"{path}?subtree=false")) == "organization-has-children"
    assert api.delete(f"{path}?subtree=true").status_code == 204
    assert set(Organization.objects.values_list("key", flat=True)) == {"acme", "south", "rome", "rival", "rival_store"}


@pytest.mark.parametrize("bound_to", ["north", "oslo"])
def test_an_organization_that_people_are_bound_to_is_not_deleted_from_under_them(
    api: Api, cast: Cast, bound_to: str
) -> None:
    for name in ("vic", "bea"):
        person("viewer", bound_to=getattr(cast, bound_to), name=name)
    response = api.delete(f"/organizations/{cast.north.pk}?subtree=true")
    assert (response.status_code, kind_of(response)) == (409, "organization-has-staff")
    assert (
        response.json()["detail"]
        == "2 people are bound to it or to an organization below it. Bind them to another organization first."
    )
    StaffScope.objects.update(organization=cast.rome)
    assert api.delete(f"/organizations/{cast.north.pk}?subtree=true").status_code == 204


@pytest.mark.parametrize("query", ["subtree=yes", "subtree=", "subtre=true", "subtree=true&subtree=false"])
def test_a_deletion_with_unclear_options_is_refused(api: Api, cast: Cast, query: str) -> None:
    assert wrong_fields(api.delete(f"/organizations/{cast.north.pk}?{query}")) <= {"subtree", "subtre"}
    assert Organization.objects.filter(pk=cast.north.pk).exists()


def test_ancestors_are_listed_root_first(api: Api, cast: Cast) -> None:
    assert ids(api.get(f"/organizations/{cast.oslo.pk}/ancestors")) == [cast.acme.pk, cast.north.pk]
    assert ids(api.get(f"/organizations/{cast.acme.pk}/ancestors")) == []


def test_descendants_are_all_below_and_nothing_else(api: Api, cast: Cast) -> None:
    below = [organization.pk for organization in cast.of_acme[1:]]
    assert ids(api.get(f"/organizations/{cast.acme.pk}/descendants")) == sorted(below)
    assert ids(api.get(f"/organizations/{cast.oslo.pk}/descendants")) == []


def test_descendants_follow_a_move(api: Api, cast: Cast) -> None:
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    expected = sorted([cast.rival_store.pk, cast.north.pk, cast.oslo.pk, cast.bergen.pk])
    assert ids(api.get(f"/organizations/{cast.rival.pk}/descendants")) == expected


def test_the_ancestors_are_whole_in_one_answer_whatever_the_size_of_a_page(api: Api, cast: Cast) -> None:
    for parameters in ({}, {"pageSize": 1}):
        answer = api.get("/organizations/oslo/ancestors", **parameters).json()
        assert [row["key"] for row in answer["results"]] == ["acme", "north"]
        assert (answer["next"], answer["previous"]) == (None, None)
    assert wrong_fields(api.get("/organizations/oslo/ancestors", cursor="after-1")) == {"cursor"}


def test_a_value_that_is_no_choice_is_answered_with_the_choices(api: Api, cast: Cast) -> None:
    answer = api.delete("/organizations/oslo?subtree=yes").json()
    assert answer["errors"] == [
        {"field": "subtree", "message": '"yes" is not a valid choice. Write one of these: true, false.'}
    ]
