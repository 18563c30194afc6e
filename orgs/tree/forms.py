"""The admin site's forms of the operations on the tree; `orgs.tree.authorized_operations` carries them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms

from flagsite.core.admin.reason_form import Irreversible, reason_field
from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.access.organization_picker import OrganizationField
from orgs.attributes import authorized_attributes
from orgs.attributes.attribute_form import REMOVE, AttributeForm
from orgs.tree import authorized_operations
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import ORGANIZATION_KEY, Organization
from orgs.tree.move_options import MoveOptions

MAX_LENGTH = 255


class OrganizationOperationForm(forms.Form):
    """The base of the forms: a reason, which is optional, below the other fields."""

    field_order = ("name", "key", "parent", "materialise", "reason")
    reason = reason_field()


class RenameForm(OrganizationOperationForm):
    """The form to rename an organization."""

    name = forms.CharField(max_length=MAX_LENGTH)


class CreateForm(OrganizationOperationForm):
    """The form to create an organization."""

    name = forms.CharField(max_length=MAX_LENGTH)
    key = forms.CharField(
        max_length=MAX_LENGTH,
        strip=False,
        validators=[ORGANIZATION_KEY],
        help_text="The stable name of the organization in your own systems. It cannot be changed later.",
    )


class MoveForm(OrganizationOperationForm):
    """The form to move an organization."""

    parent = OrganizationField(
        required=False,
        label="New parent",
        help_text="Type a part of the name, or the key. Empty: the organization becomes the root of a new tree.",
    )
    materialise = forms.BooleanField(
        required=False,
        label="Keep the values of flags",
        help_text="Values that the new place would change become settings of the organization itself. A lock at the "
        "new place decides all the same.",
    )


class DeleteForm(OrganizationOperationForm):
    """The form to delete an organization. The person has to enter its key, as a protection against mistakes."""

    key = forms.CharField(strip=False, help_text="Enter the organization's key to confirm the deletion.")
    reason = reason_field(Irreversible.DELETE_ORGANIZATION)

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization

    def clean_key(self) -> str:
        if self.cleaned_data["key"] != self.organization.key:
            raise forms.ValidationError(f"This is not the organization's key, which is {self.organization.key}.")
        return self.organization.key


@dataclass(frozen=True, slots=True)
class OrganizationOperation:
    """An operation of a person on an organization: its form, and the function that carries it out."""

    name: str
    title: str
    form: Callable[..., forms.Form]
    act: Callable[[Caller, Organization, dict[str, Any]], Organization | StartedJob | None]
    """Carries it out, and returns what to show next: the organization, the job that does it, or None for all others."""
    done: Callable[[Organization, dict[str, Any]], str]
    """Says what was done, from the organization as it was before and the values of the form."""
    has_preview: bool = False
    irreversible: Irreversible | None = None
    button: str = ""
    """The words on the button, if they are not the title."""


def _rename(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    return authorized_operations.rename(caller, organization.pk, name=values["name"], reason=values["reason"])


def _create(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    fields = {name: values[name] for name in ("name", "key", "reason")}
    return authorized_operations.create(caller, parent=organization.pk, **fields)


def _move(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization | StartedJob:
    parent = values["parent"]
    parent_id = parent.pk if parent else None
    options = MoveOptions(keeps_values=values["materialise"])
    return authorized_operations.move(
        caller, organization.pk, parent=parent_id, options=options, reason=values["reason"]
    )


def _delete(caller: Caller, organization: Organization, values: dict[str, Any]) -> StartedJob | None:
    done = authorized_operations.delete(caller, organization.pk, subtree=True, reason=values["reason"])
    return done if isinstance(done, StartedJob) else None


def _set_attribute(caller: Caller, organization: Organization, values: dict[str, Any]) -> Organization:
    authorized_attributes.write(caller, organization.pk, **values["change"], reason=values["reason"])
    return organization


def _attribute_set(before: Organization, values: dict[str, Any]) -> str:
    done = "is as inherited again" if values["kind"] == REMOVE else "is set"
    return f"The attribute {values['name']} of {before.name} ({before.key}) {done}."


def _renamed(before: Organization, values: dict[str, Any]) -> str:
    return f"{before.name} ({before.key}) is now called {values['name']}."


def _created(before: Organization, values: dict[str, Any]) -> str:
    return f"{values['name']} ({values['key']}) is now below {before.name}, with the flags of {before.name}."


def _moved(before: Organization, values: dict[str, Any]) -> str:
    place = f"below {values['parent'].name}" if values["parent"] else "the root of a tree"
    return f"{before.name} ({before.key}) is now {place}."


def _deleted(before: Organization, values: dict[str, Any]) -> str:
    below = before.descendant_count
    if not below:
        return f"{before.name} ({before.key}) is deleted."
    return f"{before.name} ({before.key}) and {counted(below, 'organization')} below it are deleted."


OPERATIONS = {
    operation.name: operation
    for operation in (
        OrganizationOperation("rename", "Rename", RenameForm, _rename, _renamed),
        OrganizationOperation("create", "Create an organization below", CreateForm, _create, _created),
        OrganizationOperation(
            "attribute",
            "Set an attribute of",
            AttributeForm,
            _set_attribute,
            _attribute_set,
            button="Set the attribute",
        ),
        OrganizationOperation("move", "Move", MoveForm, _move, _moved, has_preview=True),
        OrganizationOperation(
            "delete", "Delete", DeleteForm, _delete, _deleted, irreversible=Irreversible.DELETE_ORGANIZATION
        ),
    )
}
