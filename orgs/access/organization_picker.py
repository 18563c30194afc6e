"""The one widget with which people choose an organization, on all pages of the admin site.

A person types a part of a name or a key. The page offers the matching organizations with their paths, because several
organizations can have the same name, and shows the path of the chosen one below the input. What the form sends is the
organization's key or id, so the widget also works without JavaScript.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse
from unfold.widgets import INPUT_CLASSES

from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.access.operator_admin import TextInputFilter
from orgs.access.visible_organizations import find_organization, find_visible_organization
from orgs.errors import OrganizationNotFound
from orgs.tree.models import Organization
from orgs.tree.references import KEY_PREFIX, Reference, parse_reference

MAX_LENGTH = 300


class OrganizationPicker(forms.TextInput):
    """A text input with suggestions, which the page `orgs_organization_picker` returns."""

    template_name = "admin/orgs/organization_picker.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {"class": " ".join(INPUT_CLASSES), "autocomplete": "off", "spellcheck": "false"} | (attrs or {})
        )

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        input_id = context["widget"]["attrs"].get("id", f"id_{name}")
        query = urlencode({"field": name, "input": input_id})
        context["suggestions"] = f"{input_id}-suggestions"
        context["address"] = f"{reverse('admin:orgs_organization_picker')}?{query}"
        return context


class OrganizationField(forms.Field):
    """A form field for an organization that `caller` may see, by key or id. Its value is the organization or None."""

    widget = OrganizationPicker

    def __init__(self, *, caller: Caller | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.caller = caller

    def to_python(self, value: Any) -> Organization | None:
        text = str(value or "").strip()
        if not text:
            return None
        try:
            return find(self.caller, text)
        except FlagsiteError as error:
            raise ValidationError(error.detail) from error

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            value = Organization.objects.filter(pk=value).first()
        return reference_to(value) if isinstance(value, Organization) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return str(self.prepare_value(initial) or "") != str(data or "").strip()


def find(caller: Caller | None, text: str) -> Organization:
    """Return the organization with this key or id if the caller may see it.

    Raises OrganizationNotFound, OrganizationAmbiguous.
    """
    try:
        return find_organization(text) if caller is None else find_visible_organization(caller, text)
    except OrganizationNotFound:
        raise OrganizationNotFound(f"No organization that you may see has the key or id {text!r}.") from None


def reference_to(organization: Organization) -> str:
    """Return a text that names the organization by its key, and nothing else (`orgs.tree.references`)."""
    key: str = organization.key
    is_plain = parse_reference(key) == Reference(key, key=key)
    return key if is_plain else f"{KEY_PREFIX}{key}"


def set_caller(form: forms.BaseForm, caller: Caller) -> None:
    """Let all organization fields of a form accept only what the caller may see."""
    for field in form.fields.values():
        if isinstance(field, OrganizationField):
            field.caller = caller


class PickerForm(forms.Form):
    """The form of a filter with the picker."""

    def __init__(self, *, name: str, label: str, **options: Any) -> None:
        super().__init__(**options)
        self.fields[name] = forms.CharField(label=label, required=False, widget=OrganizationPicker())


class OrganizationTextFilter(TextInputFilter):
    """A filter of a list by an organization, with the picker. A subclass defines `filter_rows`."""

    form_class = PickerForm
