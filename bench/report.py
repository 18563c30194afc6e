"""One line of the table that a benchmark makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, against what, and whether it reaches what it must."""

    what: str
    ours: str
    yardstick: str
    ratio: float
    must: str
    reached: bool
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self)
