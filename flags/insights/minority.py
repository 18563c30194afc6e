"""The minority: the organizations whose value differs from most, such as "on for 98 %, off for 12 under 2 parents"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flags.definitions.models import Flag
from flags.insights.models import FlagAdoption
from flags.insights.share_bars import variant_words
from flags.insights.variant_shares import counted_variants
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations


@dataclass(frozen=True, slots=True)
class Minority:
    """The organizations whose value differs from most.

    `enabled` is the minority's value, `organizations` its size, `sources` the number of organizations on which that
    value was set. `biggest` has the ids of the sources with most organizations below them. `unset` organizations of
    the minority have the value by the flag's default.
    """

    enabled: bool
    organizations: int
    sources: int
    biggest: Sequence[int]
    unset: int

    @classmethod
    def of(cls, adoption: FlagAdoption) -> Minority:
        """Return the minority of an adoption: the smaller of the two sides."""
        enabled = adoption.organizations_on < adoption.organizations_off
        unset = adoption.unset if adoption.flag.enabled == enabled else 0
        if enabled:
            return cls(enabled, adoption.organizations_on, adoption.on_sources, adoption.on_biggest, unset)
        return cls(enabled, adoption.organizations_off, adoption.off_sources, adoption.off_biggest, unset)

    def in_words(self, of: int, names: Mapping[int, str]) -> str:
        """Return the minority as a text. `of` is the number of all organizations; `names` has names by id."""
        most, fewer = ("off", "on") if self.enabled else ("on", "off")
        words = f"{most} for {_percent(of - self.organizations, of)}, {fewer} for {self.organizations:,}"
        if self.sources:
            named = ", ".join(names.get(one, f"organization {one}") for one in self.biggest)
            more = self.sources - len(self.biggest)
            words += f" under {self.sources:,} parent{'' if self.sources == 1 else 's'}"
            words += f" ({named} and {more:,} more)" if more else f" ({named})"
        return f"{words}, {self.unset:,} of them by default" if self.unset else words


def describe_minorities(adoptions: Iterable[FlagAdoption], caller: Caller) -> dict[int, str]:
    """Return a text on the minority of each flag that is not the same everywhere, by the flag's id, with one query.

    The text does not name organizations that the caller may not see. It tells the variants of a flag that
    has some. An archived or killed flag is off everywhere.
    """
    going = [adoption for adoption in adoptions if not _is_stopped(adoption.flag)]
    differing = {
        adoption.flag_id: (Minority.of(adoption), adoption.organizations_on + adoption.organizations_off)
        for adoption in going
        if adoption.organizations_on and adoption.organizations_off
    }
    ids = {organization_id for found, _ in differing.values() for organization_id in found.biggest}
    names = dict(visible_organizations(caller).filter(pk__in=ids).values_list("pk", "name")) if ids else {}
    by_value = {flag_id: found.in_words(of, names) for flag_id, (found, of) in differing.items()}
    texts = {each.flag_id: "; ".join(filter(None, [by_value.get(each.flag_id), _by_variant(each)])) for each in going}
    return {flag_id: text for flag_id, text in texts.items() if text}


def _by_variant(adoption: FlagAdoption) -> str:
    """Return how many organizations have each variant. Empty for a boolean flag, and if all have the same."""
    shares = counted_variants(adoption.flag, adoption)
    return variant_words(shares) if sum(bool(share.organizations) for share in shares) > 1 else ""


def _is_stopped(flag: Flag) -> bool:
    return flag.archived or flag.killed


def _percent(part: int, of: int) -> str:
    """Return the percentage, rounded down, so that 100 % means every organization."""
    return f"{math.floor(part * 1000 / of) / 10:g} %"
