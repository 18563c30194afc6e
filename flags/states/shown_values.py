"""Stored values of flags as people and clients read them: with the variant and its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flags.definitions.models import Flag
from flags.evaluation.context_loader import CustomValues, load_custom_values
from flags.values.served import served
from flags.values.types import FlagType
from flags.values.variants import Variant, variants_of


@dataclass(frozen=True, slots=True)
class Variants:
    """The variants of a flag, as `served` takes them."""

    type: FlagType
    variants: tuple[Variant, ...]
    default_variant: str
    off_variant: str

    @classmethod
    def of(cls, flag: Flag) -> Variants:
        """Return the variants of a flag."""
        return cls(FlagType(flag.type), variants_of(flag.variants), flag.default_variant, flag.off_variant)


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A stored value: whether it is on, the key of its variant, and the value that this variant has.

    All three are None if nothing is set; `variant` and `value` are None if the flag has no value for off.
    """

    enabled: bool | None = None
    variant: str | None = None
    value: Any = None

    @property
    def in_words(self) -> str:
        """A word for people."""
        if self.enabled is None:
            return "the default"
        return self.variant or ("on" if self.enabled else "off")


def shown(flag: Flag, enabled: bool | None, number: int, custom: CustomValues | None = None) -> ShownValue:
    """Return a stored value of a flag. `custom` has its custom value; without it, the value is read.

    Args:
        flag: the flag.
        enabled: whether the value is on; None if nothing is set.
        number: the number of the variant or custom value, or 0.
        custom: custom values by their numbers.
    """
    if enabled is None:
        return ShownValue()
    if flag.type == FlagType.BOOLEAN:
        return ShownValue(enabled, "on" if enabled else "off", enabled)
    values = load_custom_values([number]) if custom is None else custom
    found = served(Variants.of(flag), enabled=enabled, number=number, custom=values.get(number))
    return ShownValue(enabled, found.variant or None, found.value)
