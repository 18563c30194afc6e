"""Regular expressions of RE2, which search in linear time. One that takes long to compile is refused."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 256
MOST_BYTES_OF_PROGRAM = 1 << 16
r"""The memory of a pattern without its searches: about 2,500 steps, or a millisecond. `\pL{40}` needs 48,000 steps."""
MOST_BYTES = 1 << 20
"""The memory of a pattern with its searches. With much less of it, they take up to a thousand times as long."""
MOST_KEPT, MOST_SETS_KEPT = 2_048, 512


class WrongPattern(ValueError):
    """A pattern that Flagsite does not take. The message says why."""


@lru_cache(maxsize=MOST_KEPT)
def compiled(pattern: str, *, ignore_case: bool = False) -> Any:
    """Return a compiled pattern, made once for all that have it. Raises WrongPattern."""
    if len(pattern) > LONGEST_PATTERN:
        raise WrongPattern(f"it has more than {LONGEST_PATTERN} characters")
    try:
        re2.compile(pattern, options=options_of(ignore_case=ignore_case, most_bytes=MOST_BYTES_OF_PROGRAM))
        return re2.compile(pattern, options=options_of(ignore_case=ignore_case, most_bytes=MOST_BYTES))
    except (re2.error, UnicodeError) as error:
        raise WrongPattern(_reason(error)) from error


@lru_cache(maxsize=MOST_SETS_KEPT)
def set_of_patterns(patterns: tuple[str, ...], *, ignore_case: bool) -> Any:
    """Return the set of RE2 that looks for all patterns at once; None if they take too much memory together.

    Its `Match` takes a text in UTF-8 and returns the places of the patterns that it found anywhere in it, or None.
    """
    together = re2.Set.SearchSet(options_of(ignore_case=ignore_case))
    try:
        for pattern in patterns:
            together.Add(pattern)
        together.Compile()
    except re2.error:
        return None
    return together


def options_of(*, ignore_case: bool, most_bytes: int = MOST_BYTES) -> Any:
    """Return RE2's options for patterns."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.max_mem = most_bytes
    return options


def _reason(error: Exception) -> str:
    found = error.args[0] if error.args else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
