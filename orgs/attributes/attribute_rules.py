"""What an attribute of an organization may be: its name, its value, and how many there are. All of it is pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orgs.errors import InvalidAttribute

MAX_NAME = 64
MAX_ATTRIBUTES = 50
"""The most attributes that an organization has of its own."""
MAX_TEXT, MAX_TEXTS = 1_000, 50
"""The length of a text in characters, and of a list in texts."""
MAX_NUMBER = 2**53 - 1
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
NAME = re.compile(NAME_PATTERN)
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that PostgreSQL or UTF-8 cannot store."""
Value = str | int | float | bool | list[str] | None
"""A value. None says that the organization, and what is below it, has no such attribute."""


def check_name(name: str) -> None:
    """Check the name of an attribute. Raises InvalidAttribute."""
    if NAME.fullmatch(name) is None:
        raise InvalidAttribute(
            f"{name[:100]!r} is no name of an attribute: 1 to {MAX_NAME} of A-Z a-z 0-9 _ - with a letter first."
        )


def check_value(name: str, value: Any) -> None:
    """Check the value of an attribute. Raises InvalidAttribute."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, int | float):
        if not abs(value) <= MAX_NUMBER:  # true of NaN too
            raise InvalidAttribute(f"The attribute {name} is no number from -(2^53 - 1) to 2^53 - 1.")
    elif isinstance(value, list):
        if len(value) > MAX_TEXTS:
            raise InvalidAttribute(f"The attribute {name} has {len(value):,} texts, more than {MAX_TEXTS}.")
        for each in value:
            if not isinstance(each, str):
                raise InvalidAttribute(f"The list of the attribute {name} has something else than texts.")
            _check_text(name, each)
    else:
        raise InvalidAttribute(f"The attribute {name} is no text, number, true, false, null or list of texts.")


def check_all(values: Mapping[str, Any]) -> None:
    """Check the names and values of attributes. Raises InvalidAttribute."""
    for name, value in values.items():
        check_name(name)
        check_value(name, value)


def _check_text(name: str, text: str) -> None:
    if not 0 < len(text) <= MAX_TEXT:
        raise InvalidAttribute(f"A text of the attribute {name} does not have 1 to {MAX_TEXT:,} characters.")
    if UNWRITABLE.search(text):
        raise InvalidAttribute(f"A text of the attribute {name} has characters that cannot be stored.")
