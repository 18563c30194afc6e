"""What a set gives a flag on an organization: on, off, one of its variants, or a custom value.

A custom value is a JSON value in place of a variant. It is stored once for a flag, and settings and flag states name it
by a number (`flags.states.models.CustomValue`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import connection

from flags.definitions.models import Flag
from flags.errors import InvalidValue
from flags.values.checks import BOOLEAN_VARIANTS, canonical_json, checked_value, keys_of, unknown_variant
from flags.values.json_schema import check_values
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED


class NotGiven:
    """Stands for a value that nobody has given, as null is a value."""


NOT_GIVEN: Final = NotGiven()
NEW_CUSTOM_VALUE = 2**31 - 1
"""The number of a custom value that is not stored, in plans."""
NAMES = ("enabled", "variant", "value")
ONE_OF = "Send exactly one of enabled, variant and value."


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request wants: `enabled`, or the key of a `variant`, or a `value`. Exactly one is given."""

    enabled: bool | None = None
    variant: str | None = None
    value: Any = NOT_GIVEN

    @classmethod
    def among(cls, given: Mapping[str, Any]) -> Choice:
        """Return the choice among the fields of a request. Raises InvalidValue unless there is exactly one."""
        found = {name: given[name] for name in NAMES if name in given}
        if len(found) != 1:
            raise InvalidValue(ONE_OF)
        return cls(**found)

    def of(self, flag: Flag) -> Chosen:
        """Return what the choice means for a flag. Raises InvalidValue if the flag cannot be that."""
        is_boolean = flag.type == FlagType.BOOLEAN
        if self.variant is not None:
            keys = keys_of(flag.type, flag.variants)
            if self.variant not in keys:
                raise InvalidValue(unknown_variant(self.variant, keys))
            if is_boolean:
                return Chosen(flag, BOOLEAN_VARIANTS[self.variant])
            return Chosen(flag, enabled=True, variant=self.variant)
        if self.value is NOT_GIVEN:
            return Chosen(flag, bool(self.enabled))
        try:
            value = checked_value(flag.type, self.value)
            check_values(flag.value_schema, [("The value", value)])
        except ValidationError as error:
            raise InvalidValue(" ".join(error.messages)) from error
        return Chosen(flag, value) if is_boolean else Chosen(flag, enabled=True, value=value)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a set gives a flag, checked: it turns the flag on or off, and names a variant or a custom value, or none."""

    flag: Flag
    enabled: bool
    variant: str = ""
    value: Any = NOT_GIVEN

    @property
    def details(self) -> dict[str, Any]:
        """The same for the audit log and for the arguments of a job, in JSON."""
        details: dict[str, Any] = {"enabled": self.enabled}
        if self.variant:
            details["variant"] = self.variant
        if self.value is not NOT_GIVEN:
            details["value"] = self.value
        return details

    @property
    def in_words(self) -> str:
        """A word for people: "on", "off", the key of the variant, or the custom value in JSON."""
        if self.value is not NOT_GIVEN:
            return canonical_json(self.value)
        return self.variant or ("on" if self.enabled else "off")

    @property
    def request(self) -> str:
        """The choice in the request of a plan: the same text for the same choice."""
        if self.value is NOT_GIVEN:
            return f"variant {self.variant}" if self.variant else str(self.enabled)
        return f"value {canonical_json(self.value)}"

    def number(self, *, is_stored: bool) -> int:
        """Return the number of the variant or custom value. With `is_stored`, a new custom value is stored."""
        if self.variant:
            return int(next(each["number"] for each in self.flag.variants if each["key"] == self.variant))
        if self.value is NOT_GIVEN:
            return BY_ENABLED
        return _number_of(self.flag.pk, self.value, is_stored=is_stored)


KNOWN = "SELECT id FROM flags_customvalue WHERE flag_id = %(flag)s AND digest = %(digest)s"
STORE = f"""
WITH stored AS (
    INSERT INTO flags_customvalue (flag_id, value, digest) VALUES (%(flag)s, %(value)s, %(digest)s)
        ON CONFLICT (flag_id, digest) DO NOTHING RETURNING id)
SELECT id FROM stored UNION ALL {KNOWN}
"""  # noqa: S608 - no input in it


def _number_of(flag_id: int | None, value: Any, *, is_stored: bool) -> int:
    text = canonical_json(value)
    parameters = {"flag": flag_id, "value": text, "digest": blake2b(text.encode(), digest_size=16).digest()}
    with connection.cursor() as cursor:
        # A value that somebody else has stored while the first statement ran is there for the next one.
        for statement in (KNOWN, STORE, KNOWN) if is_stored else (KNOWN,):
            cursor.execute(statement, parameters)
            row = cursor.fetchone()
            if row is not None:
                return int(row[0])
    return NEW_CUSTOM_VALUE
