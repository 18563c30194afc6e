"""The 100 flags that each compared flag server has: 40 with JSON objects, 30 with targeting rules, 30 on or off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.rule_sets import Context, Rule, is_on, rule_sets

OBJECT_FLAGS, PLAIN_FLAGS = 40, 30
VARIANTS: dict[str, Any] = {"one": {"limit": 10, "label": "one"}, "two": {"limit": 20, "label": "two"}}
DEFAULT_VARIANT = "one"


@dataclass(frozen=True, slots=True)
class MixedFlag:
    """One of the flags. Where none of its rules matches, it is on or off as `enabled` says."""

    name: str
    enabled: bool
    has_objects: bool = False
    """Whether its values are the VARIANTS; else it is boolean."""
    rules: list[Rule] = field(default_factory=list)

    def value(self, context: Context) -> Any:
        """The value that each server has to give in a context."""
        return VARIANTS[DEFAULT_VARIANT] if self.has_objects else self.enabled or is_on(self.rules, context)


def mixed_flags() -> list[MixedFlag]:
    """Return the flags, the three kinds one after the other."""
    flags = [MixedFlag(f"object-{number:02}", enabled=True, has_objects=True) for number in range(OBJECT_FLAGS)]
    flags += [MixedFlag(f"ruled-{number:02}", enabled=False, rules=rules) for number, rules in enumerate(rule_sets())]
    return flags + [MixedFlag(f"plain-{number:02}", enabled=number % 2 == 0) for number in range(PLAIN_FLAGS)]
