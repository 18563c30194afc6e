"""Definitions in commands: fields written as FIELD=VALUE, and a definition's document and words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from rest_framework.renderers import JSONRenderer

from flags.definitions.models import Flag
from flags.definitions.serializers import DefinitionChanges, DefinitionSerializer, NewDefinition
from flags.errors import InvalidDefinition
from flagsite.core.console.command import WrongUsage


def add_fields(parser: CommandParser) -> None:
    """Add the arguments FIELD=VALUE."""
    parser.add_argument(
        "fields", nargs="*", metavar="FIELD=VALUE", help="a definition field as in the API, such as "
        "rolloutPercentage=25, owner=checkout-team or 'environments={\"staging\": true}'",
    )  # fmt: skip


def values_in(assignments: Sequence[str], *, flag: str = "") -> dict[str, Any]:
    """Return the definition fields of the arguments FIELD=VALUE, checked like those of the API.

    A value is JSON or else a text. With `flag`, they are the fields of a new flag. Raises WrongUsage for an argument
    without `=` and for a field that is given twice, and InvalidDefinition.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name in {*given, "name", "reason"}:
            raise WrongUsage(f"{assignment!r} is not FIELD=VALUE with another field than before.")
        given[name] = _value(text)
    serializer = NewDefinition(data={"name": flag, **given}) if flag else DefinitionChanges(data=given)
    if not serializer.is_valid():
        raise InvalidDefinition(_words(dict(serializer.errors)))
    return {name: value for name, value in serializer.validated_data.items() if name not in {"name", "reason"}}


def document_of(flag: Flag) -> dict[str, Any]:
    """Return the definition as the API's JSON."""
    data = DefinitionSerializer(flag, context={"personal": True}).data
    return dict(json.loads(JSONRenderer().render(data)))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _words(errors: Any) -> str:
    if isinstance(errors, dict):
        return " ".join(f"{name}: {_words(inner)}" for name, inner in errors.items())
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
