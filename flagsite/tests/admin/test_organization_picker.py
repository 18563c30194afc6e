"""The one widget to choose an organization: it shows paths, and offers and accepts what the person may see."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conftest import Cast
from orgs.access import access_keys
from orgs.access.models import AccessKey, StaffScope
from orgs.tests.people import person, shown, signed_in
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
PICKER = "/admin/orgs/organization/picker/"


def offered(client: Any, term: str) -> list[tuple[str, str]]:
    query = {"field": "organization", "input": "id_organization", "organization": term}
    page = shown(client.get(PICKER, query))
    assert 'id="id_organization-suggestions-list"' in page
    return re.findall(r'<option value="([^"]*)">([^<]*)</option>', page)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/admin/orgs/accesskey/add/", "organization"),
        ("/admin/auth/user/{user}/change/", "scope-0-organization"),
        ("/admin/flags/flagschedule/add/", "organization"),
        ("/admin/orgs/organization/{oslo}/move/do/", "parent"),
        ("/admin/jobs/job/", "below"),
        ("/admin/orgs/auditentry/", "of"),
    ],
)
def test_every_form_and_list_has_the_same_picker(cast: Cast, path: str, name: str) -> None:
    user = person("viewer", name="vic", bound_to=cast.oslo)
    page = shown(signed_in("admin").get(path.format(user=user.pk, oslo=cast.oslo.pk)))
    (picker,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)
    assert f'hx-get="{PICKER}?field={name}' in picker
    assert f'list="id_{name}-suggestions-list"' in picker


def test_two_organizations_of_one_name_are_told_apart_by_their_paths(cast: Cast) -> None:
    tree_operations.create(name="Oslo", key="rival-oslo", parent_id=cast.rival.pk)
    assert offered(signed_in("admin"), "oslo") == [
        ("oslo", "Acme › North › Oslo (oslo)"), ("rival-oslo", "Rival › Oslo (rival-oslo)")
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["Acme › North › Oslo", "acme>oslo", "nor › os"])
def test_a_path_finds_what_it_leads_to(cast: Cast, path: str) -> None:
    tree_operations.create(name="Oslo", key="rival-oslo", parent_id=cast.rival.pk)
    client = signed_in("admin")
    assert offered(client, path) == [("oslo", "Acme › North › Oslo (oslo)")]
    assert offered(client, "North › Rival › Oslo") == []


def test_a_path_that_ends_with_its_mark_offers_what_is_below(cast: Cast) -> None:
    assert [key for key, _ in offered(signed_in("admin"), "Acme › North ›")] == ["oslo", "bergen"]


def test_a_path_leads_a_bound_person_to_the_own_subtree_only(cast: Cast) -> None:
    tree_operations.create(name="Oslo", key="rival-oslo", parent_id=cast.rival.pk)
    client = signed_in("admin", bound_to=cast.north)
    assert offered(client, "North › Oslo") == [("oslo", "North › Oslo (oslo)")]
    assert offered(client, "Acme › Oslo") == []
    assert offered(client, "Rival › Oslo") == []


def test_a_name_with_the_mark_of_a_path_is_found_as_it_is(cast: Cast) -> None:
    tree_operations.create(name="A > B", key="odd", parent_id=cast.rival.pk)
    assert offered(signed_in("admin"), "A > B") == [("odd", "Rival › A &gt; B (odd)")]


def test_the_path_of_the_chosen_organization_is_shown(cast: Cast) -> None:
    client = signed_in("admin")
    assert "Acme › North › Oslo</" not in shown(client.get(PICKER, {"field": "f", "f": "nothing"}))
    page = shown(client.get(PICKER, {"field": "f", "f": "oslo"}))
    assert page.strip().endswith("<span>Acme › North › Oslo</span>")


def test_nothing_typed_offers_the_top(cast: Cast) -> None:
    assert [key for key, _ in offered(signed_in("admin"), "")] == ["acme", "rival"]
    assert [key for key, _ in offered(signed_in("admin", bound_to=cast.north, name="bea"), "")] == ["north"]


def test_a_bound_person_is_offered_and_may_choose_the_own_subtree_only(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.north)
    assert offered(client, "o") == [("north", "North (north)"), ("oslo", "North › Oslo (oslo)")]
    assert offered(client, "rival") == []
    for foreign in ("rival", "acme", str(cast.rome.pk)):
        form = {"name": "x", "role": "reader", "organization": foreign}
        assert "No organization that you may see" in shown(client.post("/admin/orgs/accesskey/add/", form))
    assert not AccessKey.objects.exists()


def test_a_key_is_bound_by_the_organization_s_key_or_id(cast: Cast) -> None:
    client = signed_in("admin")
    for text in ("oslo", str(cast.oslo.pk), " oslo "):
        shown(client.post("/admin/orgs/accesskey/add/", {"name": "x", "role": "reader", "organization": text}))
    assert set(AccessKey.objects.values_list("organization_id", flat=True)) == {cast.oslo.pk}
    assert AccessKey.objects.count() == 3


def test_the_form_shows_the_present_organization_by_its_key(cast: Cast) -> None:
    user = person("viewer", name="vic", bound_to=cast.oslo)
    page = shown(signed_in("admin").get(f"/admin/auth/user/{user.pk}/change/"))
    (picker,) = re.findall(r'<input[^>]*name="scope-0-organization"[^>]*>', page)
    assert 'value="oslo"' in picker
    assert StaffScope.objects.get().organization_id == cast.oslo.pk


@pytest.mark.parametrize("path", ["/admin/orgs/accesskey/add/", "/admin/auth/user/{user}/change/"])
def test_the_picker_has_no_menu_beside_it(cast: Cast, path: str) -> None:
    user = person("viewer", name="vic", bound_to=cast.oslo)
    page = shown(signed_in("admin").get(path.format(user=user.pk)))
    assert "fs-picker" in page
    assert 'data-model-ref="organization"' not in page
    assert "/orgs/organization/add/" not in page.partition("fs-picker")[2]


def test_a_filter_finds_by_key_or_id(cast: Cast) -> None:
    access_keys.create(name="of oslo", organization=cast.oslo)
    access_keys.create(name="of rome", organization=cast.rome)
    client = signed_in("admin")
    for text in ("oslo", str(cast.oslo.pk)):
        page = shown(client.get("/admin/orgs/auditentry/", {"of": text}))
        assert "of oslo" in page
        assert "of rome" not in page


def test_a_key_of_digits_is_offered_so_that_it_names_nothing_else(cast: Cast) -> None:
    tree_operations.create(name="Thirty-one", key="31", parent_id=cast.rival.pk)
    client = signed_in("admin")
    assert offered(client, "thirty") == [("key:31", "Rival › Thirty-one (31)")]
    form = {"name": "x", "role": "reader", "organization": "key:31"}
    shown(client.post("/admin/orgs/accesskey/add/", form))
    assert AccessKey.objects.get().organization.key == "31"  # type: ignore[union-attr]
