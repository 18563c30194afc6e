"""Words that depend on a number."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return the number with the right form of its noun: "1 job", "2 jobs"; `many` is needed for "retry, retries"."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
