"""Reading a file of definitions: the text that somebody chose, checked, as entries that can be written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import ValidationError

from flags.errors import InvalidFlagFile
from flags.moving.serializers import FlagFileInput
from flags.moving.writing import Entry
from flagsite.core.api.input import errors_of, printable


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says: the definitions that can be written."""

    entries: Sequence[Entry]


def read_text(content: bytes) -> Any:
    """Return the JSON of a file. Raises InvalidFlagFile if it has none, or has a name twice in one object."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise InvalidFlagFile("The file is nested too deeply.") from None
    except ValueError as error:
        raise InvalidFlagFile(f"The file is not JSON in UTF-8: {printable(str(error))}.") from None


def read_flag_file(content: Any) -> Reading:
    """Return what a flag file says. Raises InvalidFlagFile."""
    if not isinstance(content, dict):
        raise InvalidFlagFile('The file is not a flag file, which is an object with the member "flags".')
    checked = FlagFileInput(data=content)
    try:
        is_valid = checked.is_valid()
    except ValidationError as error:  # a member that the format does not have
        raise InvalidFlagFile(_in_words(error.detail)) from None
    if not is_valid:
        raise InvalidFlagFile(_in_words(errors_of(checked)))
    return Reading(checked.validated_data["flags"])


def _in_words(errors: Any) -> str:
    if isinstance(errors, Mapping):
        return " ".join(f"{name}: {_in_words(inner)}" for name, inner in errors.items())
    return " ".join(map(_in_words, errors)) if isinstance(errors, list) else str(errors)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found
