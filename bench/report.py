"""The result of a benchmark: a row of the table."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """A measured figure, its yardstick, and whether the figure meets the requirement `must`."""

    what: str
    ours: str
    yardstick: str
    ratio: float
    must: str
    reached: bool
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The result as an object of the JSON file."""
        return asdict(self)


def say(text: str) -> None:
    """Tell the person who waits how far a benchmark is, so that its figures are known even if it does not end."""
    print(f"  {text}", file=sys.stderr, flush=True)
