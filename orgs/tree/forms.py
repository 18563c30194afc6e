"""The forms by which people change the tree in the admin site; each calls `orgs.tree.authorized_operations`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from flagsite.core.admin.reason_form import reason_field
from orgs.access.caller import Caller
from orgs.access.organizations import check_placement, find_organization_by_key_or_id
from orgs.errors import MoveUnderOwnDescendant, OrganizationNotFound
from orgs.tree import authorized_operations
from orgs.tree.models import ORGANIZATION_KEY, Organization

LONGEST = 255


class OperationForm(forms.Form):
    """The reason, which every change of the tree may have, below the fields that it needs."""

    field_order = ("name", "key", "parent", "reason")
    reason = reason_field(required=False, rows=2, help_text="Kept in the audit log; it may stay empty.")


class RenameForm(OperationForm):
    """Another name; the key stays."""

    name = forms.CharField(max_length=LONGEST)


class CreateForm(OperationForm):
    """A new organization."""

    name = forms.CharField(max_length=LONGEST)
    key = forms.CharField(
        max_length=LONGEST,
        strip=False,
        validators=[ORGANIZATION_KEY],
        help_text="Its stable name in your own systems; it cannot be changed later.",
    )


class MoveForm(OperationForm):
    """Another parent."""

    parent = forms.CharField(
        required=False, label="New parent (key or id)", help_text="Empty: it becomes the top of a tree of its own."
    )

    def clean_parent(self) -> Organization | None:
        named = self.cleaned_data["parent"].strip()
        try:
            return find_organization_by_key_or_id(named) if named else None
        except OrganizationNotFound as error:
            raise forms.ValidationError(error.detail) from error


class DeleteForm(OperationForm):
    """The key once more, so that nobody deletes a customer by a slip."""

    key = forms.CharField(strip=False, help_text="Write the organization's key.")

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization

    def clean_key(self) -> str:
        if self.cleaned_data["key"] != self.organization.key:
            raise forms.ValidationError(f"That is not its key, which is {self.organization.key}.")
        return self.organization.key


@dataclass(frozen=True, slots=True)
class OrganizationOperation:
    """Something that a person does to an organization: the form, and what happens with its values."""

    name: str
    title: str
    form: Callable[..., forms.Form]
    act: Callable[[Caller, Organization, dict[str, Any]], Organization | None]
    asks_twice: bool = False


def _rename(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    return authorized_operations.rename(caller, organization.pk, name=values["name"], reason=values["reason"])


def _create(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    named = {name: values[name] for name in ("name", "key", "reason")}
    return authorized_operations.create(caller, parent_id=organization.pk, **named)


def _move(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    parent = values["parent"]
    parent_id = parent.pk if parent else None
    return authorized_operations.move(caller, organization.pk, parent_id=parent_id, reason=values["reason"])


def _delete(caller: Caller, organization: Organization, values: dict[str, Any]) -> None:
    authorized_operations.delete(caller, organization.pk, subtree=True, reason=values["reason"])


OPERATIONS = {
    operation.name: operation
    for operation in (
        OrganizationOperation("rename", "Rename", RenameForm, _rename),
        OrganizationOperation("create", "Create an organization below", CreateForm, _create),
        OrganizationOperation("move", "Move", MoveForm, _move, asks_twice=True),
        OrganizationOperation("delete", "Delete", DeleteForm, _delete),
    )
}


def check_move(caller: Caller, organization: Organization, parent: Organization | None) -> None:
    """Whether it could be moved there, before anybody is asked whether it shall. Raises FlagsiteError."""
    check_placement(caller, organization_id=organization.pk, parent_id=parent.pk if parent else None)
    if parent is not None and Organization.objects.under(organization).filter(pk=parent.pk).exists():
        raise MoveUnderOwnDescendant
