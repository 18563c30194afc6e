"""The admin site's form of one attribute of an organization."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from flagsite.core.admin.reason_form import reason_field
from orgs.attributes.attribute_rules import MAX_NAME, check_all
from orgs.errors import InvalidAttribute

TEXT, NUMBER, BOOLEAN, TEXTS, NOTHING, REMOVE = "text", "number", "boolean", "texts", "nothing", "remove"
KINDS = [
    (TEXT, "a text"),
    (NUMBER, "a number"),
    (BOOLEAN, "true or false"),
    (TEXTS, "a list of texts, one a line"),
    (NOTHING, "nothing: what comes from above ends here"),
    (REMOVE, "as inherited: take the own attribute away"),
]


class AttributeForm(forms.Form):
    """The form to set, end or remove one attribute. After validation, `change` has what to do."""

    name = forms.CharField(
        max_length=MAX_NAME, help_text="Letters, digits, _ and -, with a letter first. Rules read it as org.name."
    )
    kind = forms.ChoiceField(choices=KINDS, label="Value is")
    value = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="Everything below inherits it."
    )
    reason = reason_field()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        name, kind, text = values.get("name", ""), values.get("kind", ""), values.get("value", "")
        if not name or not kind:
            return values
        try:
            value = None if kind in (NOTHING, REMOVE) else _value(kind, text)
            check_all({name: value})
        except InvalidAttribute as error:
            raise forms.ValidationError(error.detail) from error
        values["change"] = {"values": {}, "remove": [name]} if kind == REMOVE else {"values": {name: value}}
        return values


def initial_of(name: str, own: dict[str, Any]) -> dict[str, Any]:
    """Return what the form shows at first for an attribute that an organization has of its own, or for another one."""
    value = own.get(name)
    if name in own and value is None:
        return {"name": name, "kind": NOTHING}
    if isinstance(value, bool):
        return {"name": name, "kind": BOOLEAN, "value": json.dumps(value)}
    if isinstance(value, list):
        return {"name": name, "kind": TEXTS, "value": "\n".join(value)}
    if isinstance(value, int | float):
        return {"name": name, "kind": NUMBER, "value": json.dumps(value)}
    return {"name": name, "kind": TEXT, "value": value or ""}


def _value(kind: str, text: str) -> Any:
    if kind == TEXTS:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == TEXT:
        return text.strip()
    try:
        value = json.loads(text.strip(), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        value = None
    wanted = bool if kind == BOOLEAN else int | float
    if not isinstance(value, wanted) or (kind == NUMBER and isinstance(value, bool)):
        raise InvalidAttribute("Write true or false." if kind == BOOLEAN else "Write a number, such as 250 or 0.5.")
    return value
