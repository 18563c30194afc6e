"""Texts with a part of them replaced: SQL without its guard, programs that misbehave."""

from __future__ import annotations


def replaced(text: str, old: str, new: str) -> str:
    """`text` with every `old` replaced by `new`. Fails where there is no `old`: the test would test nothing."""
    assert old in text, f"{old!r} is not in {text!r}"
    return text.replace(old, new)
