"""Parts of a JSON Schema that say which fields of a body go together, for `InputSerializer.combinations`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def at_least_one(*names: str) -> dict[str, Any]:
    """Return the part of a schema for a body that has one of these fields, or several."""
    return {"anyOf": [{"required": [name]} for name in names]}


def exactly_one_form(forms: Iterable[Iterable[str]], *, everywhere: Iterable[str]) -> dict[str, Any]:
    """Return the part of a schema for a body that has all fields of one form, and no other field of another one.

    The fields in `everywhere` may be in each form.
    """
    wanted = [list(form) for form in forms]
    every = list(dict.fromkeys(name for form in wanted for name in form if name not in {*everywhere}))
    return {
        "oneOf": [
            {"required": form, "not": {"anyOf": [{"required": [name]} for name in every if name not in form]}}
            for form in wanted
        ]
    }
