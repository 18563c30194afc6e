"""People who are signed in to the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from orgs.access.models import StaffScope
from orgs.tree.models import Organization

SUPERUSER = "superuser"


def person(group: str, *, bound_to: Organization | None = None, name: str = "pat") -> User:
    """A person in that group ("superuser": a superuser without any), perhaps bound to an organization."""
    user = User.objects.create(username=name, is_superuser=group == SUPERUSER)
    if group != SUPERUSER:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    if bound_to is not None:
        StaffScope.objects.create(user=user, organization=bound_to)
    return user


def signed_in(group: str, *, bound_to: Organization | None = None, name: str = "pat") -> Client:
    """The browser of such a person."""
    client = Client()
    client.force_login(person(group, bound_to=bound_to, name=name))
    return client


def shown(response: Any) -> str:
    """The text of a page that was answered."""
    assert response.status_code == 200, (response.status_code, response.content[:500])
    return str(response.content.decode())
