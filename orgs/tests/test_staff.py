"""What people who are signed in to the admin site may do and see."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import Client

from conftest import Cast
from orgs.access.models import Role, StaffScope
from orgs.access.people import caller_for

pytestmark = pytest.mark.django_db


def person(*groups: str, **more: bool) -> User:
    user = User.objects.create(username="pat", **more)
    for name in groups:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    return user


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["viewer"], Role.READER),
        (["operator"], Role.OPERATOR),
        (["admin"], Role.ADMIN),
        (["admin", "viewer"], Role.ADMIN),
        (["viewer", "somebody else's"], Role.READER),
    ],
)
def test_groups_decide_what_a_person_may_do(groups: list[str], role: Role) -> None:
    caller = caller_for(person(*groups))
    assert caller is not None
    assert (caller.name, caller.role, caller.organization_id) == ("user:pat", role, None)


def test_who_is_not_active_or_in_no_group_is_nobody() -> None:
    assert caller_for(person("admin", is_active=False)) is None
    assert caller_for(AnonymousUser()) is None
    User.objects.all().delete()
    assert caller_for(person("somebody else's", is_staff=True)) is None


@pytest.mark.parametrize("group", ["viewer", "operator", "admin"])
def test_a_person_in_a_group_signs_in_without_a_further_mark(client: Client, group: str) -> None:
    user = person(group, is_staff=False)
    user.set_password("long enough 1")
    user.save()
    answer = client.post("/admin/login/?next=/admin/", {"username": "pat", "password": "long enough 1"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    user.groups.clear()
    assert client.get("/admin/").status_code == 302, "who leaves the group is out at once"


def test_a_person_without_a_group_is_told_so_at_the_sign_in(client: Client) -> None:
    user = person(is_staff=True)
    user.set_password("long enough 1")
    user.save()
    page = client.post("/admin/login/", {"username": "pat", "password": "long enough 1"}).content.decode()
    assert "none of Flagsite&#x27;s groups" in page
    wrong = client.post("/admin/login/", {"username": "pat", "password": "wrong"}).content.decode()
    assert "none of Flagsite" not in wrong, "only who knows the password learns about the account"


def test_a_person_who_is_bound_to_an_organization_sees_its_subtree_on_the_api_too(client: Client, cast: Cast) -> None:
    user = person(is_superuser=True)
    StaffScope.objects.create(user=user, organization=cast.north)
    client.force_login(user)
    found = client.get("/organizations").json()["results"]
    assert {row["key"] for row in found} == {"north", "oslo", "bergen"}
    assert client.get(f"/organizations/{cast.acme.pk}").status_code == 404
