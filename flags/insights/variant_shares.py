"""How many organizations have each variant of a flag, by their stored values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from flags.definitions.models import Flag
from flags.evaluation.effective_value import EffectiveValue
from flags.insights.models import FlagAdoption
from flags.values.served import OFF, ON, Served
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED, CUSTOM, FIRST_CUSTOM_VALUE, is_custom

NUMBER = f"least(coalesce(state.variant, {BY_ENABLED}), {FIRST_CUSTOM_VALUE})"
"""The number of the variant of a flag state (`state`, perhaps none) in SQL, with one number for all custom values."""
NumbersOn = Mapping[int, int]
"""How many organizations are on, by the number of their variant."""


@dataclass(frozen=True, slots=True)
class VariantShare:
    """How many organizations have one variant.

    `variant` is its key, `custom` for all custom values together, and None where the flag has no value.
    """

    variant: str | None
    organizations: int

    @property
    def is_custom(self) -> bool:
        """Whether it stands for custom values."""
        return self.variant == CUSTOM

    @property
    def word(self) -> str:
        """What people call it."""
        return "no value" if self.variant is None else "a custom value" if self.is_custom else self.variant


Shares = tuple[VariantShare, ...]


class VariantKeys:
    """Finds the variant that an organization has by its stored value."""

    def __init__(self, flag: Flag) -> None:
        self._on = {each["number"]: each["key"] for each in flag.variants}
        self._default, self._off = flag.default_variant, flag.off_variant
        if flag.type == FlagType.BOOLEAN:
            self._default, self._off = ON.variant, OFF.variant

    def where(self, *, enabled: bool, number: int = BY_ENABLED) -> str | None:
        """Return the key of the variant, `custom` for a custom value, and None if the flag has no value there.

        A number that stands for nothing any more counts as the default variant.
        """
        if not enabled:
            return self._off or None
        return CUSTOM if is_custom(number) else self._on.get(number, self._default) or None


def variant_shares(
    flag: Flag, *, on: int, off: int, numbers_on: NumbersOn, for_everybody: Served | None = None
) -> Shares:
    """Return how many organizations have each variant.

    Args:
        flag: the flag.
        on: the organizations with the stored value on.
        off: those with the stored value off. They have the off variant.
        numbers_on: those of `on` whose number is known. The others have the default variant, and so have those whose
            number stands for nothing any more.
        for_everybody: what the flag serves in every organization, if it is off for everybody.

    Returns:
        Each variant of the definition in its order, also those that nobody has. Custom values and no value follow if
        somebody has them. Empty for a boolean flag, for which `on` and `off` say it all.
    """
    if flag.type == FlagType.BOOLEAN:
        return ()
    counts: Counter[str | None] = Counter()
    if for_everybody is not None:
        counts[for_everybody.variant or None] += on + off
    else:
        keys = VariantKeys(flag)
        for number, organizations in numbers_on.items():
            counts[keys.where(enabled=True, number=number)] += organizations
        counts[keys.where(enabled=True)] += on - sum(numbers_on.values())
        counts[keys.where(enabled=False)] += off
    return _in_order([each["key"] for each in flag.variants], counts)


def counted_variants(flag: Flag, count: FlagAdoption, for_everybody: Served | None = None) -> Shares:
    """Return how many organizations have each variant, from a count of the flag's adoption."""
    on, off = count.organizations_on, count.organizations_off
    return variant_shares(flag, on=on, off=off, numbers_on=count.numbers_on, for_everybody=for_everybody)


def served_to_all(off_for_everybody: EffectiveValue | None) -> Served | None:
    """Return what a flag serves in every organization if it is off for everybody; None if it is not."""
    return off_for_everybody.serves if off_for_everybody is not None else None


def added_up(parts: Iterable[Shares]) -> Shares:
    """Return the sums of shares of the same flag."""
    counts: Counter[str | None] = Counter()
    for share in chain.from_iterable(parts):
        counts[share.variant] += share.organizations
    return _in_order([key for key in counts if key not in (CUSTOM, None)], counts)


def _in_order(keys: Sequence[str | None], counts: Mapping[str | None, int]) -> Shares:
    more = [key for key in (CUSTOM, None) if counts.get(key)]
    return tuple(VariantShare(key, counts.get(key, 0)) for key in [*keys, *more])
