"""What can be an id."""

from __future__ import annotations

import re

BIGGEST_ID = 2**63 - 1
"""The greatest number that PostgreSQL's bigint holds."""


def id_in(text: str) -> int | None:
    """The id that the text is, without sign, leading zeros or white space; None when it is none."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        return None
    number = int(text)
    return number if number <= BIGGEST_ID else None
