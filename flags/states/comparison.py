"""The flags of two organizations side by side: which values, sources and own settings differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from flags.states.models import FlagSetting
from flags.states.selectors import EffectiveState, effective_among, effective_states
from flags.states.setting_rules import LOCK, NONE
from orgs.tree.models import Organization

MAX_FLAGS = 1_000
"""The maximum number of flags of an organization that a page reads."""


@dataclass(frozen=True, slots=True)
class FlagHere:
    """A flag in an organization: its effective value and the setting that the organization itself has, if any."""

    state: EffectiveState
    own: FlagSetting | None
    source_kind: str

    @property
    def is_own(self) -> bool:
        """Whether the organization's own setting decides, also one whose value a move has kept."""
        if self.own is None or self.own.kind == NONE:
            return False
        return self.state.source_organization_id in (self.state.organization_id, self.own.kept_from_id)

    @property
    def mark(self) -> str:
        """What people have to know of the setting; empty if the value is only inherited."""
        if self.own is None:
            return "locked above" if self.source_kind == LOCK and self.state.inherited else ""
        exempt = "exempt from a lock above" if self.own.exempt_from_id else ""
        return ", ".join(words for words in (self._own_words(self.own), exempt) if words)

    def _own_words(self, own: FlagSetting) -> str:
        if own.kind == NONE:
            return ""
        if not self.is_own:
            why = "masked by a lock above" if self.source_kind == LOCK else "which does not count now"
            return f"own setting {own.variant_in_words or ('on' if own.enabled else 'off')}, {why}"
        return "locked here" if own.kind == LOCK else f"set {'only ' if own.only_here else ''}here"


@dataclass(frozen=True, slots=True)
class Difference:
    """A flag that differs between two organizations, and in what: value, source or setting."""

    left: FlagHere
    right: FlagHere
    differs: Sequence[str]

    @property
    def flag_id(self) -> int:
        """The id of the flag."""
        return self.left.state.flag_id

    @property
    def flag_key(self) -> str:
        """The key of the flag."""
        return self.left.state.flag_key


def flags_of(organization: Organization, states: Iterable[EffectiveState]) -> list[FlagHere]:
    """Return these flags of the organization by key, each with its own setting, with one query."""
    known = list(states)
    places = {state.source_organization_id or 0 for state in known} | {organization.pk}
    settings = (
        FlagSetting.objects.select_related("flag")
        .filter(organization_id__in=places, flag_id__in=[state.flag_id for state in known])
        .exclude(kind=NONE, exempt_from=None)
    )
    found: Mapping[tuple[int, int], FlagSetting] = {(one.organization_id, one.flag_id): one for one in settings}
    return [
        FlagHere(state, found.get((organization.pk, state.flag_id)), _kind(found, state))
        for state in sorted(known, key=lambda state: state.flag_key)
    ]


def compare(left: Organization, right: Organization) -> list[Difference]:
    """Return the flags whose values, sources or settings differ between two organizations, by key.

    The number of queries does not depend on the number of flags; MAX_FLAGS of each organization are compared at most.
    Sources are the same if both organizations have the value from the same organization, or each from itself.
    """
    ids = {row.flag_id for side in (left, right) for row in islice(effective_states(side), MAX_FLAGS)}
    one, other = (flags_of(side, effective_among(side, ids).values()) for side in (left, right))
    others = {here.state.flag_id: here for here in other}
    pairs = [(here, others[here.state.flag_id]) for here in one if here.state.flag_id in others]
    return [Difference(*pair, differs) for pair in pairs if (differs := differing(*pair))]


def _kind(settings: Mapping[tuple[int, int], FlagSetting], state: EffectiveState) -> str:
    setting = settings.get((state.source_organization_id or 0, state.flag_id))
    return setting.kind if setting is not None else ""


def differing(left: FlagHere, right: FlagHere) -> list[str]:
    """Return in what a flag differs between two places or moments."""
    compared: dict[str, tuple[object, object]] = {
        "value": (_value(left), _value(right)),
        "source": (_source(left), _source(right)),
        "setting": (_own(left), _own(right)),
    }
    return [name for name, (one, other) in compared.items() if one != other]


def _value(here: FlagHere) -> tuple[str, bool]:
    return here.state.in_words, here.state.stored_value


def _source(here: FlagHere) -> int | str | None:
    return "here" if here.is_own else here.state.source_organization_id


def _own(here: FlagHere) -> tuple[str, bool | None, int] | None:
    return None if here.own is None else (here.own.kind, here.own.enabled, here.own.variant)
