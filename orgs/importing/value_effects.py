"""What an import would do to values that other apps keep for organizations, for a dry run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class OneEffect(NamedTuple):
    """The number of organizations that get another value of one flag."""

    flag: str
    changed: int


class ValueEffects(NamedTuple):
    """How many organizations get another value of at least one flag, and how many of each flag, most of them first.

    `flag_count` is the number of all these flags; `flags` has the first.
    """

    changed: int
    flag_count: int
    flags: tuple[OneEffect, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the effects with the names that the API uses."""
        flags = [{"featureFlag": each.flag, "changed": each.changed} for each in self.flags]
        return {"changed": self.changed, "flagsAffected": self.flag_count, "flags": flags}


Count = Callable[[], ValueEffects | None]
"""A function that reads `import_resolved` (`orgs.importing.staging`). It returns None if there is too much to count."""
counts: list[Count] = []
"""There is one of these."""


def count() -> ValueEffects | None:
    """Return the effects of the resolved rows, which are not written yet."""
    [effects] = [each() for each in counts]
    return effects


def sentences(effects: dict[str, Any] | None) -> list[str]:
    """Return the effects, as JSON, in words. None: they are not known."""
    if effects is None:
        return ["Nobody has counted in time how many organizations would get other values of flags."]
    if not effects["changed"]:
        return ["No organization would get another value of a flag."]
    count = effects["changed"]
    organizations = "1 organization" if count == 1 else f"{count:,} organizations"
    lines = [f"{organizations} would get other values of flags:"]
    lines += [f"{each['featureFlag']}: {each['changed']:,}" for each in effects["flags"]]
    more = effects["flagsAffected"] - len(effects["flags"])
    return [*lines, f"and {more:,} more flags"] if more > 0 else lines
