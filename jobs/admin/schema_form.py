"""A form for the arguments of a job, made from the JSON schema of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from flagsite.core.admin.json_text import TypedJson
from jobs.engine.kinds import JobKind
from jobs.operations import enqueue

SHORT_TEXT = 200
"""Longer texts get an input of several lines."""
ONE_IN_EACH_LINE = "One in each line."
AS_JSON = "As JSON."
YES_OR_NO = [("true", "yes"), ("false", "no")]
PLAIN_TYPES = {"string", "integer", "number", "boolean", "array", "object"}


class LinesField(forms.CharField):
    """A list of texts or numbers, one in each line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def __init__(self, *, of: Any, **options: Any) -> None:
        super().__init__(**options)
        self._of = of

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[Any] | None:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        try:
            return [self._of(line) for line in lines] or None
        except ValueError:
            raise ValidationError("Write a number in each line.") from None


class JsonField(forms.JSONField):
    """A value of any other form, as JSON."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "fs-json"})

    def __init__(self, **options: Any) -> None:
        super().__init__(decoder=TypedJson, **options)

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class ArgumentsForm(forms.Form):
    """The arguments of a job of one kind. The names of the fields are those of the JSON schema.

    An empty field is no argument, so that the default of the kind holds. A valid form has the attribute `arguments`.
    """

    def __init__(self, kind: JobKind, data: Any = None) -> None:
        super().__init__(data, prefix="arguments", use_required_attribute=True)
        self._kind = kind
        schema = dict(kind.arguments or {})
        required = schema.get("required", ())
        for name, part in schema.get("properties", {}).items():
            self.fields[name] = field_of(name, part, is_required=name in required)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        given = {name: value for name, value in values.items() if value not in (None, "", [])}
        if self.errors:
            return values
        try:
            enqueue.check_is_storable(given)
        except enqueue.InvalidJobArguments as error:
            raise ValidationError(error.detail) from error
        self.arguments = given
        for path, message in enqueue.argument_errors(self._kind, enqueue.with_defaults(self._kind, given)):
            self.add_error(path[0] if path and path[0] in self.fields else None, message)
        return values


def field_of(name: str, schema: Mapping[str, Any], *, is_required: bool) -> forms.Field:
    """Return the form field for a property of a schema; a text of JSON for what no other field fits."""
    options: dict[str, Any] = {
        "required": is_required,
        "label": schema.get("title") or name,
        "help_text": schema.get("description", ""),
        "initial": schema.get("default"),
    }
    kind = _type_of(schema)
    if "enum" in schema and kind in {"string", ""}:
        empty = [] if is_required or "default" in schema else [("", "–")]
        return forms.ChoiceField(choices=[*empty, *((one, one) for one in schema["enum"])], **options)
    if kind in _FIELDS:
        return _FIELDS[kind](schema, options)
    options["help_text"] = f"{options['help_text']} {AS_JSON}".strip()
    return JsonField(**options)


def _type_of(schema: Mapping[str, Any]) -> str:
    """The type of a property if it has one; the empty text for a combination of schemas."""
    types = schema.get("type", "")
    names = [types] if isinstance(types, str) else [one for one in types if one != "null"]
    return names[0] if len(names) == 1 and names[0] in PLAIN_TYPES else ""


def _text(schema: Mapping[str, Any], options: dict[str, Any]) -> forms.Field:
    if schema.get("format") == "date":
        return forms.CharField(widget=forms.DateInput(attrs={"type": "date"}), **options)
    limits: dict[str, Any] = {"min_length": schema.get("minLength"), "max_length": schema.get("maxLength")}
    if (schema.get("maxLength") or 0) > SHORT_TEXT:
        return forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), **limits, **options)
    return forms.CharField(**limits, **options)


def _integer(schema: Mapping[str, Any], options: dict[str, Any]) -> forms.Field:
    return forms.IntegerField(min_value=schema.get("minimum"), max_value=schema.get("maximum"), **options)


def _number(schema: Mapping[str, Any], options: dict[str, Any]) -> forms.Field:
    return forms.FloatField(min_value=schema.get("minimum"), max_value=schema.get("maximum"), **options)


def _boolean(schema: Mapping[str, Any], options: dict[str, Any]) -> forms.Field:
    default = options["initial"]
    options["initial"] = None if default is None else str(default).lower()
    empty = [] if default is not None or options["required"] else [("", "–")]
    coerce = {"true": True, "false": False}.get
    return forms.TypedChoiceField(choices=[*empty, *YES_OR_NO], coerce=coerce, empty_value=None, **options)


def _array(schema: Mapping[str, Any], options: dict[str, Any]) -> forms.Field:
    items = schema.get("items", {})
    kind = _type_of(items)
    if "enum" in items:
        choices = [(one, one) for one in items["enum"]]
        return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple, **options)
    if kind in _OF_LINES:
        options["help_text"] = f"{options['help_text']} {ONE_IN_EACH_LINE}".strip()
        return LinesField(of=_OF_LINES[kind], **options)
    options["help_text"] = f"{options['help_text']} {AS_JSON}".strip()
    return JsonField(**options)


_OF_LINES = {"string": str, "integer": int, "number": float}
_FIELDS = {"string": _text, "integer": _integer, "number": _number, "boolean": _boolean, "array": _array}
