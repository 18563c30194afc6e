"""Definitions in commands: fields written as FIELD=VALUE, and a definition's document and words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser
from rest_framework.renderers import JSONRenderer

from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.models import Flag
from flags.definitions.plan_words import effect_in_words, fields_in_words
from flags.definitions.serializers import (
    DefinitionChanges,
    DefinitionPlanSerializer,
    DefinitionSerializer,
    NewDefinition,
)
from flags.errors import InvalidDefinition
from flags.states.plan_figures import figures_of_flag
from flagsite.core.api.input import errors_of
from flagsite.core.console.command import Answer, WrongUsage
from orgs.tree.console import everything

EFFECT = "A command says what it would do with --plan."
OTHER_WAYS = {
    "name": "The name of a flag cannot be changed.",
    "reason": "The reason is no field of the definition. Write it with --reason.",
    "planHash": EFFECT,
    "atMost": EFFECT,
}
"""What people write as a field although it is none, with the way to write it."""


def add_fields(parser: CommandParser) -> None:
    """Add the arguments FIELD=VALUE."""
    parser.add_argument(
        "fields", nargs="*", metavar="FIELD=VALUE", help="a definition field as in the API, such as "
        "rolloutPercentage=25, owner=checkout-team or 'environments={\"staging\": true}'",
    )  # fmt: skip


def values_in(assignments: Sequence[str], *, flag: str = "") -> dict[str, Any]:
    """Return the definition fields of the arguments FIELD=VALUE, checked like those of the API.

    A value is JSON or else a text. With `flag`, they are the fields of a new flag. Raises WrongUsage for an argument
    without `=`, for a field that is given twice and for what is no field, and InvalidDefinition.
    """
    given = assigned(assignments, OTHER_WAYS)
    serializer = NewDefinition(data={"name": flag, **given}) if flag else DefinitionChanges(data=given)
    if not serializer.is_valid():
        raise InvalidDefinition(words_of_errors(errors_of(serializer)))
    return {name: value for name, value in serializer.validated_data.items() if name not in OTHER_WAYS}


def assigned(assignments: Sequence[str], other_ways: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the arguments FIELD=VALUE by name. A value is JSON or else a text.

    `other_ways` says of what is no field how to write it. Raises WrongUsage.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise WrongUsage(f"{assignment!r} is not FIELD=VALUE. Write it as owner=checkout-team.")
        if name in given:
            raise WrongUsage(f"The field {name} is there twice. Write it once.")
        if name in other_ways:
            raise WrongUsage(other_ways[name])
        given[name] = _value(text)
    return given


def add_plan(parser: CommandParser) -> None:
    """Add the option --plan."""
    parser.add_argument("--plan", action="store_true", help="only say what the change would do")


def answer_of_plan(plan: DefinitionPlan) -> Answer:
    """Return the answer of a command that only says what a change of a definition would do."""
    context = {"figures": figures_of_flag(everything(), plan.flag, changed=plan.changed)}
    document = dict(DefinitionPlanSerializer(plan, context=context).data)
    return Answer(document, [*fields_in_words(plan), *effect_in_words(plan), "Nothing was written."])


def document_of(flag: Flag) -> dict[str, Any]:
    """Return the definition as the API's JSON."""
    data = DefinitionSerializer(flag, context={"personal": True}).data
    return dict(json.loads(JSONRenderer().render(data)))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def words_of_errors(errors: Any) -> str:
    """Return the errors of a serializer in a line."""
    if isinstance(errors, dict):
        return " ".join(f"{name}: {words_of_errors(inner)}" for name, inner in errors.items())
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
