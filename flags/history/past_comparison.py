"""The flags of an organization at a past moment with their settings, and what differs between two moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flags.history.moments import Moment
from flags.history.past_settings import PastPath, past_path
from flags.history.past_states import PastState, flags_with_values, past_states
from flags.states.comparison import MAX_FLAGS, FlagHere, differing
from flags.states.models import FlagSetting
from flags.states.setting_rules import NONE, PlacedSetting
from orgs.access.caller import Caller
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class PastFlag(FlagHere):
    """A flag in an organization at a past moment, with the setting that the organization itself had then, if any."""

    state: PastState

    @property
    def by(self) -> str:
        """Who caused the value; empty if nobody did, or somebody above what the caller sees."""
        return (self.state.cause.requested_by or "") if self.state.cause else ""


@dataclass(frozen=True, slots=True)
class PastDifference:
    """A flag that differs between two moments, in what, and who caused that. `left` is None if it is a new flag."""

    left: PastFlag | None
    right: PastFlag
    differs: Sequence[str]

    @property
    def flag_id(self) -> int:
        """The id of the flag."""
        return self.right.state.flag_id

    @property
    def flag_key(self) -> str:
        """The key of the flag."""
        return self.right.state.flag_key

    @property
    def by(self) -> list[str]:
        """Who has made the last change of the value, and who has written the version of the definition."""
        earlier, later = self.left.state if self.left else None, self.right.state
        words = []
        caused_before = earlier.cause.number if earlier and earlier.cause else 0
        if later.cause is not None and later.cause.number != caused_before:
            why = f": {later.cause.reason}" if later.cause.reason else ""
            words.append(f"{later.cause.requested_by or 'somebody above'} (change {later.cause.number}){why}")
        if earlier is not None and earlier.version != later.version:
            words.append(f"{later.defined_by or 'somebody'} (version {later.version} of the definition)")
        return words


def flags_then(caller: Caller, organization: Organization, moment: Moment) -> list[PastFlag]:
    """Return the flags that had a value from the organization or above it, by key. Raises OrganizationNotFound."""
    path = past_path(caller, organization.pk, moment)
    return _flags(path, flags_with_values(path)[:MAX_FLAGS])


def compare_moments(caller: Caller, organization: Organization, earlier: Moment, later: Moment) -> list[PastDifference]:
    """Return the flags whose values, sources, settings or definitions differ between two moments, by key.

    Raises OrganizationNotFound.
    """
    paths = [past_path(caller, organization.pk, moment) for moment in (earlier, later)]
    ids = sorted({flag_id for path in paths for flag_id in flags_with_values(path)})[:MAX_FLAGS]
    left, right = (_flags(path, ids) for path in paths)
    before = {flag.state.flag_id: flag for flag in left}
    pairs = [(before.get(flag.state.flag_id), flag) for flag in right]
    return [PastDifference(*pair, differs) for pair in pairs if (differs := _differing(*pair))]


def _differing(left: PastFlag | None, right: PastFlag) -> list[str]:
    if left is None:
        return ["new flag"]
    return differing(left, right) + (["definition"] if left.state.version != right.state.version else [])


def _flags(path: PastPath, flag_ids: Sequence[int]) -> list[PastFlag]:
    flags = []
    for state in past_states(path, flag_ids):
        on_path = {one.placed.organization_id: one.placed for one in path.settings.get(state.flag_id, ())}
        source = on_path.get(state.source_organization_id or 0)
        own = on_path.get(path.organization_id)
        flags.append(PastFlag(state, _setting(own) if own else None, source.kind if source else ""))
    return sorted(flags, key=lambda flag: flag.state.flag_key)


def _setting(placed: PlacedSetting) -> FlagSetting | None:
    """Return a setting of then as the model has it, which nobody saves; None if nothing was decided."""
    if placed.kind == NONE and placed.exempt_from_id is None:
        return None
    is_kept = placed.source_id != placed.organization_id
    return FlagSetting(
        organization_id=placed.organization_id, flag_id=placed.flag_id, number=placed.number, kind=placed.kind,
        enabled=placed.enabled, variant=placed.variant, only_here=placed.only_here,
        exempt_from_id=placed.exempt_from_id, kept_from_id=placed.source_id if is_kept else None,
    )  # fmt: skip
