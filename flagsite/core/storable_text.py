"""What PostgreSQL cannot store: NUL in texts and in JSON, and halves of surrogate pairs.

A text from outside, such as the answer of a server or the message of an exception, may have such characters. Storing
it must not fail because of them.
"""

from __future__ import annotations

import json
import re
from typing import Any

NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(text: str) -> str:
    """Return the text with a replacement character for each character that PostgreSQL cannot store."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def is_storable_json(value: Any) -> bool:
    """Return whether PostgreSQL can store the value as JSON. Raises TypeError if it is no JSON at all."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:  # NaN, an infinite number, or half of a surrogate pair
        return False
    return not NUL_IN_JSON.search(text)
