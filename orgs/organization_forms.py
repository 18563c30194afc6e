"""The forms by which people change the tree in the admin site; each calls one function of `orgs.tree`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from orgs import tree
from orgs.access import Caller, check_placement, organization_called, organization_for
from orgs.errors import FlagsiteError, OrganizationNotFound
from orgs.models import ORGANIZATION_KEY, Organization

LONGEST = 255


class RenameForm(forms.Form):
    """Another name; the key stays."""

    name = forms.CharField(max_length=LONGEST)


class CreateForm(forms.Form):
    """A new organization."""

    name = forms.CharField(max_length=LONGEST)
    key = forms.CharField(
        max_length=LONGEST,
        strip=False,
        validators=[ORGANIZATION_KEY],
        help_text="Its stable name in your own systems; it cannot be changed later.",
    )


class MoveForm(forms.Form):
    """Another parent."""

    parent = forms.CharField(
        required=False, label="New parent (key or id)", help_text="Empty: it becomes the top of a tree of its own."
    )

    def clean_parent(self) -> Organization | None:
        named = self.cleaned_data["parent"].strip()
        try:
            return organization_called(named) if named else None
        except OrganizationNotFound as error:
            raise forms.ValidationError(error.detail) from error


class DeleteForm(forms.Form):
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
class Deed:
    """Something that a person does to an organization: the form, and what happens with its values."""

    name: str
    title: str
    form: Callable[..., forms.Form]
    act: Callable[[Caller, Organization, dict[str, Any]], Organization | None]
    asks_twice: bool = False


def _rename(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    return tree.rename(organization_id=organization.pk, name=values["name"])


def _create(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    return tree.create(name=values["name"], key=values["key"], parent_id=organization.pk)


def _move(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    parent = values["parent"]
    parent_id = parent.pk if parent else None
    check_placement(caller, organization_id=organization.pk, parent_id=parent_id)
    return tree.move(organization_id=organization.pk, parent_id=parent_id)


def _delete(caller: Caller, organization: Organization, values: dict[str, Any]) -> None:
    check_placement(caller, organization_id=organization.pk, parent_id=organization.parent_id)
    tree.delete(organization_id=organization.pk, subtree=True)


DEEDS = {
    deed.name: deed
    for deed in (
        Deed("rename", "Rename", RenameForm, _rename),
        Deed("create", "Create an organization below", CreateForm, _create),
        Deed("move", "Move", MoveForm, _move, asks_twice=True),
        Deed("delete", "Delete", DeleteForm, _delete),
    )
}


def check_move(caller: Caller, organization: Organization, parent: Organization | None) -> None:
    """Whether it could be moved there, before anybody is asked whether it shall. Raises FlagsiteError."""
    check_placement(caller, organization_id=organization.pk, parent_id=parent.pk if parent else None)
    if parent is not None:
        organization_for(caller, parent.pk)
        if Organization.objects.under(organization).filter(pk=parent.pk).exists():
            raise FlagsiteError("An organization cannot be moved under itself or one of its own descendants.")
