"""A key that is bound to an organization: everything outside of its subtree does not exist for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from conftest import Cast
from flagsite.core import actor
from orgs.access.endpoints import ListEndpoint
from orgs.tests.api import Api, ids, kind_of
from orgs.tree import tree_operations
from orgs.tree.models import Organization


@pytest.fixture
def acme(acme_key: str) -> Api:
    return Api(acme_key)


def test_the_list_holds_the_own_subtree_only(acme: Api, cast: Cast) -> None:
    assert ids(acme.get("/organizations")) == sorted(organization.pk for organization in cast.of_acme)
    assert ids(acme.get("/organizations", key="rival")) == []


@pytest.mark.parametrize(
    "path", ["/organizations?parent", "/v1/access-keys?organizationId", "/v1/people?organizationId"]
)
def test_a_filter_by_a_strangers_organization_is_answered_like_one_by_a_missing_organization(
    acme: Api, cast: Cast, path: str
) -> None:
    answers = [acme.get(f"{path}={name}") for name in (cast.rival.pk, "rival", "id:999999", "nowhere")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


@pytest.mark.parametrize("suffix", ["", "/ancestors", "/descendants", "/flags"])
def test_a_strangers_organization_is_answered_like_a_missing_one(acme: Api, cast: Cast, suffix: str) -> None:
    foreign = acme.get(f"/organizations/{cast.rival.pk}{suffix}")
    missing = acme.get(f"/organizations/999999{suffix}")
    assert (foreign.status_code, foreign.content) == (404, missing.content)


def test_a_strangers_organization_cannot_be_changed(acme: Api, cast: Cast) -> None:
    path = f"/organizations/{cast.rival_store.pk}"
    assert acme.patch(path, {"name": "Mine"}).status_code == 404
    assert acme.patch(path, {"parentId": cast.acme.pk}).status_code == 404
    assert acme.delete(path).status_code == 404
    assert Organization.objects.get(pk=cast.rival_store.pk).name == "Rival_Store"


def test_nothing_is_created_or_moved_outside_of_the_subtree(acme: Api, cast: Cast) -> None:
    body = {"name": "N", "key": "n"}
    assert kind_of(acme.post("/organizations", body)) == "outside-of-your-subtree"
    assert kind_of(acme.post("/organizations", {**body, "parentId": cast.rival.pk})) == "organization-not-found"
    oslo = f"/organizations/{cast.oslo.pk}"
    assert kind_of(acme.patch(oslo, {"parentId": None})) == "outside-of-your-subtree"
    assert kind_of(acme.patch(oslo, {"parentId": cast.rival.pk})) == "organization-not-found"
    assert Organization.objects.get(pk=cast.oslo.pk).parent_id == cast.north.pk
    assert not Organization.objects.filter(key="n").exists()


def test_the_top_of_the_subtree_may_be_renamed_but_neither_moved_nor_deleted(acme: Api, cast: Cast) -> None:
    top = f"/organizations/{cast.acme.pk}"
    assert kind_of(acme.delete(f"{top}?subtree=true")) == "outside-of-your-subtree"
    tree_operations.move(organization_id=cast.acme.pk, parent_id=cast.rival.pk)
    assert kind_of(acme.patch(top, {"parentId": None})) == "outside-of-your-subtree"
    assert kind_of(acme.patch(top, {"parentId": cast.oslo.pk})) == "outside-of-your-subtree"
    assert acme.patch(top, {"name": "Acme Ltd"}).json()["name"] == "Acme Ltd"


def test_the_top_of_the_subtree_may_be_sent_back_with_the_place_that_it_has(acme: Api, cast: Cast) -> None:
    top = f"/organizations/{cast.acme.pk}"
    assert acme.patch(top, {"name": "Acme Ltd", "parentId": None}).json()["name"] == "Acme Ltd"
    tree_operations.move(organization_id=cast.acme.pk, parent_id=cast.rival.pk)
    assert acme.patch(top, {"parentId": cast.rival.pk}).status_code == 200


def test_inside_of_the_subtree_an_admin_key_does_everything(acme: Api, cast: Cast) -> None:
    created = acme.post("/organizations", {"name": "N", "key": "n", "parentId": cast.acme.pk})
    path = f"/organizations/{created.json()['id']}"
    assert acme.patch(path, {"parentId": cast.rome.pk}).json()["parentId"] == cast.rome.pk
    assert acme.delete(path).status_code == 204


def test_ancestors_end_at_the_top_of_the_subtree(acme: Api, cast: Cast) -> None:
    tree_operations.move(organization_id=cast.acme.pk, parent_id=cast.rival.pk)
    assert ids(acme.get(f"/organizations/{cast.oslo.pk}/ancestors")) == [cast.acme.pk, cast.north.pk]
    assert ids(acme.get(f"/organizations/{cast.acme.pk}/ancestors")) == []


def test_an_organization_that_moved_away_is_gone_for_the_key(acme: Api, cast: Cast) -> None:
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert acme.get(f"/organizations/{cast.oslo.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/organizations", "/organizations/{acme}/descendants"])
def test_a_tree_that_changes_while_it_is_listed_shows_nothing_of_others(
    acme: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Acme is moved to be the left sibling of another in one tree; a third comes in before it at the worst moment."""
    tree_operations.move(organization_id=cast.acme.pk, parent_id=cast.rival.pk)
    tree_operations.create(name="Stranger", key="stranger", parent_id=cast.rival.pk)
    seen = set(ids(acme.get(path.format(acme=cast.acme.pk))))

    def rows_a_moment_later(view: Any, request: Any, queryset: Any) -> Any:
        with ThreadPoolExecutor(1) as other:
            other.submit(remove_rival_store).result()
        return original(view, request, queryset)

    def remove_rival_store() -> None:
        try:
            with actor.acting("worker", actor=actor.SYSTEM):  # all that is right of it moves two numbers to the left
                tree_operations.delete(organization_id=cast.rival_store.pk)
        finally:
            connection.close()

    original = ListEndpoint.rows
    monkeypatch.setattr(ListEndpoint, "rows", rows_a_moment_later)
    assert set(ids(acme.get(path.format(acme=cast.acme.pk)))) == seen
