"""Operations on people for a caller: find, create, change and give a new password.

A caller with a scope sees and changes the people who are bound to organizations of its subtree. Nobody gives more
rights than the own ones. People cannot be deleted, because the audit log contains their names.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from orgs.access.caller import Caller
from orgs.access.models import StaffScope
from orgs.access.people import ROLES_BY_GROUP, described
from orgs.access.visible_organizations import find_visible_organization, in_trees_to_lock, visible_organizations
from orgs.audit import audit_log
from orgs.errors import MoreThanYouMay, OutsideOfYourSubtree, PersonExists, PersonNotFound
from orgs.tree import locks

COLUMNS = {"first_name", "last_name", "email", "is_active"}
"""The columns of a person that `change` writes as they are given."""
PASSWORD_BYTES = 12
People = QuerySet[User]


def visible_people(caller: Caller) -> People:
    """Return the people whom the caller may see, with their groups and scopes."""
    people: People = User.objects.select_related("scope__organization").prefetch_related("groups").order_by("id")
    if caller.organization_id is None:
        return people
    return people.filter(scope__organization_id__in=visible_organizations(caller).values("pk"))


def find(caller: Caller, username: str) -> User:
    """Return the person if the caller may see this person. Raises PersonNotFound."""
    person = visible_people(caller).filter(username=username).first()
    if person is None:
        raise PersonNotFound
    return person


def create(
    caller: Caller, *, username: str, groups: Collection[str], organization: Any = None, **columns: Any
) -> tuple[User, str]:
    """Create a person in these groups, bound to an organization (None: not bound), and return the first password.

    Raises PersonExists, MoreThanYouMay, OrganizationNotFound, OutsideOfYourSubtree.
    """
    _check_groups(caller, groups)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with _held(caller, organization):
        organization_id = _scope_id(caller, organization)
        try:
            with transaction.atomic():
                person = User.objects.create_user(username, password=password, is_staff=True, **columns)
        except IntegrityError as error:
            taken = f"The username {username!r} is taken."
            raise PersonExists(f"{taken} Choose another, for instance with a prefix.") from error
        _write(person, {"groups": groups, "organization_id": organization_id})
        audit_log.record(
            "user.create", f"user:{person.get_username()}", organization_id=organization_id, after=described(person)
        )
    return find(caller, person.get_username()), password


def change(caller: Caller, username: str, changes: Mapping[str, Any]) -> User:
    """Change a person: groups, organization, is_active, first_name, last_name or email.

    Raises PersonNotFound, MoreThanYouMay, OrganizationNotFound, OutsideOfYourSubtree.
    """
    values = dict(changes)
    _check_groups(caller, values.get("groups", ()))
    with _held(caller, values.get("organization")):
        person = _locked(caller, username)
        before = _all_values(person)
        if "organization" in values:
            values["organization_id"] = _scope_id(caller, values.pop("organization"))
        _write(person, values)
        after = _all_values(User.objects.get(pk=person.pk))
        if after != before:
            audit_log.record(
                "user.change", f"user:{username}", organization_id=after["scope"], before=before, after=after
            )
    return find(caller, username)


def set_password(caller: Caller, username: str) -> tuple[User, str]:
    """Give a person a new password, which ends the person's sessions, and return it.

    Raises PersonNotFound, MoreThanYouMay.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with _held(caller):
        person = _locked(caller, username)
        person.set_password(password)
        person.save(update_fields=["password"])
        audit_log.record("user.password", f"user:{username}", organization_id=described(person)["scope"])
    return find(caller, username), password


@contextmanager
def _held(caller: Caller, organization: Any = None) -> Iterator[None]:
    """Open a transaction in which no organization moves into or out of the caller's scope.

    The named organization, to which a person shall be bound, does not move either, and nobody deletes it.
    """
    with transaction.atomic():
        locks.lock_trees_for_reading(*in_trees_to_lock(caller, organization))
        yield


def _locked(caller: Caller, username: str) -> User:
    """Return the person, locked. Raises PersonNotFound, and MoreThanYouMay for a superuser."""
    person = User.objects.select_for_update(of=("self",)).get(pk=find(caller, username).pk)
    if person.is_superuser:
        raise MoreThanYouMay(f"{username} is a superuser. Only a superuser changes superusers, in the admin site.")
    return person


def _check_groups(caller: Caller, groups: Collection[str]) -> None:
    for group in groups:
        if not caller.may(ROLES_BY_GROUP[group]):
            raise MoreThanYouMay(f"You have the role {caller.role.value}, so you cannot put people into {group}.")


def _scope_id(caller: Caller, organization: Any) -> int | None:
    if organization is not None:
        return int(find_visible_organization(caller, organization).pk)
    if caller.organization_id is not None:
        raise OutsideOfYourSubtree("A person without an organization sees everything. Name one of your organizations.")
    return None


def _write(person: User, values: Mapping[str, Any]) -> None:
    columns = {name: values[name] for name in COLUMNS & values.keys()}
    User.objects.filter(pk=person.pk).update(is_staff=True, **columns)
    if "groups" in values:
        others = person.groups.exclude(name__in=ROLES_BY_GROUP)
        person.groups.set([*others, *Group.objects.filter(name__in=values["groups"])])
    if "organization_id" not in values:
        return
    if values["organization_id"] is None:
        StaffScope.objects.filter(user=person).delete()
    else:
        StaffScope.objects.update_or_create(user=person, defaults={"organization_id": values["organization_id"]})


def _all_values(person: User) -> dict[str, Any]:
    names = {"firstName": person.first_name, "lastName": person.last_name, "email": person.email}
    return described(person) | names
