"""JSON that people type into forms: what Python cannot read is an error of the field, and not of the page."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100
"""The most levels of lists and objects, far more than any form needs."""


class TypedJson(json.JSONDecoder):
    """Reads JSON for `forms.JSONField`, which knows no other error than JSONDecodeError.

    Python raises other errors for JSON that is nested very deeply, and for numbers with thousands of digits.
    """

    def decode(self, text: str, *arguments: Any) -> Any:
        """Return the value. Raises JSONDecodeError."""
        try:
            value = super().decode(text, *arguments)
        except json.JSONDecodeError:
            raise
        except (RecursionError, ValueError):
            raise json.JSONDecodeError("This is nested too deeply, or a number is too long", "", 0) from None
        if is_deep(value):
            raise json.JSONDecodeError("This is nested too deeply", "", 0)
        return value


def is_deep(value: Any) -> bool:
    """Return whether the value has more than DEEPEST levels of lists and objects."""
    level, values = 0, [value]
    while values and level <= DEEPEST:
        inner = [each for each in values if isinstance(each, (list, dict))]
        values = [part for each in inner for part in (each.values() if isinstance(each, dict) else each)]
        level += 1
    return bool(values)
