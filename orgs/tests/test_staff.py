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
    user = User.objects.create(username="pat", **({"is_staff": True} | more))
    for name in groups:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    return user


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ([], Role.READER),
        (["viewer"], Role.READER),
        (["operator"], Role.OPERATOR),
        (["admin"], Role.ADMIN),
        (["admin", "viewer"], Role.ADMIN),
        (["somebody else's"], Role.READER),
    ],
)
def test_groups_decide_what_a_person_may_do(groups: list[str], role: Role) -> None:
    caller = caller_for(person(*groups))
    assert caller is not None
    assert (caller.name, caller.role, caller.organization_id) == ("user:pat", role, None)


@pytest.mark.parametrize("more", [{"is_staff": False}, {"is_active": False}, {"is_staff": False, "is_superuser": True}])
def test_who_is_no_active_staff_is_nobody(more: dict[str, bool]) -> None:
    assert caller_for(person("admin", **more)) is None
    assert caller_for(AnonymousUser()) is None


def test_a_person_who_is_bound_to_an_organization_sees_its_subtree_on_the_api_too(client: Client, cast: Cast) -> None:
    user = person(is_superuser=True)
    StaffScope.objects.create(user=user, organization=cast.north)
    client.force_login(user)
    found = client.get("/organizations").json()["results"]
    assert {row["key"] for row in found} == {"north", "oslo", "bergen"}
    assert client.get(f"/organizations/{cast.acme.pk}").status_code == 404
