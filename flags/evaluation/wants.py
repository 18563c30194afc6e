"""What a flag wants of its prerequisites: that they are on, that they are off, or that they serve a variant.

In JSON, a prerequisite that has to be on is its key. Another one is an object: `{"flag": "old", "is": "off"}`, or
`{"flag": "colour", "variant": "red"}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from django.core.exceptions import ValidationError

from flags.evaluation.reasons import Rule, word

ON, OFF = "on", "off"
LONGEST_VARIANT = 255
VARIANT = "variant"
"""The word before the key of a variant in a line of a form."""
WAYS: tuple[set[str], ...] = (set(), {"is"}, {VARIANT})
"""What an object can have beside the flag."""
EXAMPLES = '{"flag": "old", "is": "off"} or {"flag": "colour", "variant": "red"}'
MOST_PREREQUISITES = 100
Entry = str | dict[str, Any]
"""A prerequisite in JSON."""


class Want(NamedTuple):
    """What a prerequisite has to be where it is not simply on."""

    is_off: bool = False
    variant: str = ""
    """The key of the variant that it has to serve. Empty if on or off is all that counts."""

    def is_met(self, *, enabled: bool, variant: str) -> bool:
        """Return whether what a prerequisite serves is what is wanted."""
        return variant == self.variant if self.variant else enabled is not self.is_off

    @property
    def words(self) -> str:
        """The want in words, such as "off"."""
        return f"the variant {self.variant!r}" if self.variant else word(not self.is_off)


IS_ON = Want()
Wants = Mapping[str, Want]
"""By the key of the prerequisite. One that is missing has to be on."""


class Decided(Protocol):
    """What is decided about a prerequisite."""

    @property
    def enabled(self) -> bool:
        """Whether it is on."""

    @property
    def variant(self) -> str:
        """The key of the variant that it serves; empty without a value."""

    @property
    def rule(self) -> Rule:
        """The rule that decided."""


def unmet(wants: Wants, key: str, decided: Decided) -> str:
    """Return why a prerequisite is not what is wanted of it. Empty if it is."""
    want = wants.get(key, IS_ON)
    if want.is_met(enabled=decided.enabled, variant=decided.variant):
        return ""
    serves = f"the variant {decided.variant!r}" if decided.variant else "no value"
    what = f"serves {serves}" if want.variant else f"is {word(decided.enabled)}"
    return f"The prerequisite {key!r} {what}, by the rule {decided.rule}."


def missing(key: str) -> str:
    """Return the sentence about a prerequisite that does not exist, and so is never what is wanted."""
    return f"The prerequisite {key!r} does not exist."


def keys_of(entries: Iterable[Entry]) -> list[str]:
    """Return the keys of checked prerequisites."""
    return [entry if isinstance(entry, str) else entry["flag"] for entry in entries]


def stored_wants(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Return what a definition keeps beside the keys: the rest of each object, by its key."""
    objects = (entry for entry in entries if not isinstance(entry, str))
    return {entry["flag"]: {name: value for name, value in entry.items() if name != "flag"} for entry in objects}


def entries_of(keys: Iterable[str], stored: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    """Return prerequisites in JSON, sorted by their keys, from what a definition keeps."""
    return [{"flag": key, **stored[key]} if key in stored else key for key in sorted(keys)]


def with_wants(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a former definition, as history keeps it, with its prerequisites as they are in JSON.

    A row that is older than wants has none of them.
    """
    if "prerequisites" not in row:
        return dict(row)
    return {**row, "prerequisites": entries_of(row["prerequisites"], row.get("prerequisite_wants", {}))}


def wants_of(entries: Iterable[Entry]) -> dict[str, Want]:
    """Return the wants as evaluation reads them."""
    return {
        key: Want(is_off=stored.get("is") == OFF, variant=stored.get("variant", ""))
        for key, stored in stored_wants(entries).items()
    }


def checked_entries(value: Any) -> list[Entry]:
    """Return prerequisites in the form in which a definition keeps them: sorted, each once, objects only where needed.

    Raises ValidationError.
    """
    if not isinstance(value, list) or len(value) > MOST_PREREQUISITES:
        raise ValidationError(f"Not a list of at most {MOST_PREREQUISITES} flags.")
    found: dict[str, Entry] = {}
    for each in value:
        key, entry = _checked(each)
        if found.setdefault(key, entry) != entry:
            raise ValidationError(f"The flag {key!r} cannot be wanted in two ways.")
    return [found[key] for key in sorted(found)]


def normalized_entries(value: Any) -> Any:
    """Return prerequisites as `checked_entries` does, and what it refuses as it is."""
    try:
        return checked_entries(value)
    except ValidationError:
        return value


def lines_of(stored: Mapping[str, Mapping[str, Any]]) -> str:
    """Return wants as lines for a form, such as `old-checkout: off` and `colour: variant red`."""
    wants = ((key, each["is"] if "is" in each else f"{VARIANT} {each['variant']}") for key, each in stored.items())
    return "\n".join(f"{key}: {want}" for key, want in sorted(wants))


def entries_from_lines(keys: Sequence[str], lines: str) -> list[Entry]:
    """Return prerequisites from the keys and lines of a form. Raises ValidationError."""
    wanted: dict[str, dict[str, Any]] = {}
    for line in filter(None, (each.strip() for each in lines.splitlines())):
        key, _, want = (part.strip() for part in line.partition(":"))
        if key not in keys:
            raise ValidationError(f"The flag {key!r} is not one of the prerequisites. Select it there.")
        before, _, variant = want.partition(" ")
        wanted[key] = {"variant": variant.strip()} if before == VARIANT and variant else {"is": want}
    return checked_entries([{"flag": key, **wanted[key]} if key in wanted else key for key in keys])


def _checked(value: Any) -> tuple[str, Entry]:
    if isinstance(value, str) and value:
        return value, value
    wants = set(value) - {"flag"} if isinstance(value, Mapping) else {"nothing"}
    if (
        not isinstance(value, Mapping)
        or wants not in WAYS
        or not isinstance(value.get("flag"), str)
        or not value["flag"]
    ):
        raise ValidationError(f"A prerequisite is the name of a flag, or an object such as {EXAMPLES}.")
    key, variant = value["flag"], value.get("variant")
    if "variant" in value:
        if not isinstance(variant, str) or not 0 < len(variant) <= LONGEST_VARIANT:
            raise ValidationError("The variant of a prerequisite is the key of a variant.")
        return key, {"flag": key, "variant": variant}
    if value.get("is", ON) not in (ON, OFF):
        raise ValidationError(f"A prerequisite is {ON} or {OFF}, and not {value['is']!r}.")
    return (key, key) if value.get("is", ON) == ON else (key, {"flag": key, "is": OFF})
