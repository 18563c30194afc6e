"""Ids in text: validation and parsing."""

from __future__ import annotations

import re

MAX_ID = 2**63 - 1
"""The greatest number of PostgreSQL's bigint."""


def id_in(text: str) -> int | None:
    """Parse an id without sign, leading zeros or white space; return None for any other text."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        return None
    number = int(text)
    return number if number <= MAX_ID else None
