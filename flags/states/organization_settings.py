"""Reading the setting of a flag on one organization: what is set there, what holds, and what a lock masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from flags.definitions.models import Flag
from flags.definitions.refusals import locked_flag
from flags.errors import FlagLocked
from flags.states.effects import is_masked, parts_of
from flags.states.models import FlagSetting
from flags.states.placed_settings import settings_of_subtree
from flags.states.setting_rules import NONE, decide, deciding_lock
from flags.states.shown_values import ShownValue, shown
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class SettingOfFlag:
    """A setting with its value as it is shown."""

    setting: FlagSetting
    shown: ShownValue


@dataclass(frozen=True, slots=True)
class SettingOnOrganization:
    """A flag on an organization. `setting` is its own setting, if it has one.

    `shown` is what the settings decide. `locked_by` is the organization whose lock decides;
    None if there is no lock, and if the caller may not see this organization. `masked` is the number of settings at and
    below the organization that a lock keeps from counting. `exempt_from` is the organization from whose lock this one
    is exempt until `exempt_until`, shown in the same way as `locked_by`.
    """

    organization_id: int
    flag_key: str
    shown: ShownValue
    source_id: int | None
    setting: SettingOfFlag | None
    is_locked: bool
    locked_by: int | None
    masked: int
    exempt_from: int | None = None
    exempt_until: datetime | None = None

    @property
    def inherited(self) -> bool:
        """Whether the value comes from an organization above."""
        return self.source_id not in (None, self.organization_id)


def setting_on(caller: Caller, organization: Organization, flag: Flag) -> SettingOnOrganization:
    """Return a flag on an organization. The caller may see both, and the organization has just been read."""
    subtree = organization.subtree
    found = settings_of_subtree(subtree, [flag.pk])[flag.pk]
    lock = deciding_lock(found.path)
    value = decide(flag.pk, found.path, organization.pk)
    both = (found.path, found.below)
    masked = sum(
        part.is_itself and part.has_own_setting and is_masked(part)
        for part in parts_of(flag.pk, both, both, top_id=organization.pk, size=subtree.size)
    )
    own = FlagSetting.objects.filter(organization=organization, flag=flag).first()
    return SettingOnOrganization(
        organization.pk, flag.key, shown(flag, value.enabled, value.variant), value.source_id,
        SettingOfFlag(own, shown(flag, own.enabled, own.variant)) if own and own.kind != NONE else None,
        lock is not None,
        _if_visible(caller, lock.organization_id if lock else None), masked,
        _if_visible(caller, own.exempt_from_id if own else None), own.exempt_until if own else None,
    )  # fmt: skip


def sees(caller: Caller, organization_id: int) -> bool:
    """Return whether the caller may see an organization, such as one with a lock."""
    return caller.organization_id is None or visible_organizations(caller).filter(pk=organization_id).exists()


def _if_visible(caller: Caller, organization_id: int | None) -> int | None:
    return organization_id if organization_id is not None and sees(caller, organization_id) else None


@contextmanager
def locks_named_for(caller: Caller) -> Iterator[None]:
    """Name the organization of a lock in the refusal, if the caller may see this organization."""
    try:
        yield
    except FlagLocked as error:
        found = visible_organizations(caller).filter(pk=error.locked_by).first()
        if found is None:
            raise
        named = locked_flag(str(error.context["flag"]), found.pk, f"{found.name} ({found.key})")
        named.members["lockedBy"] = found.pk
        raise named from None
