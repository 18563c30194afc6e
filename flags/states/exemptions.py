"""Exemptions: a lock does not hold for an organization and everything below it, perhaps for a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flags.definitions.models import Flag, check_flag_key
from flags.definitions.refusals import unknown_flag
from flags.errors import FlagNotLocked
from flags.states import flag_settings
from flags.states.models import EXEMPT, Change
from flags.states.placed_settings import decided_on_paths, settings_on_path
from flags.states.set_flag import AcceptedChange, FlagToSet, lock_flag, tell, write_change
from flags.states.setting_rules import lock_to_lift
from orgs.audit import audit_log
from orgs.errors import OutsideOfYourSubtree
from orgs.tree.models import Organization

NOT_YOURS = "The lock is on an organization that you may not see, so only somebody who may can exempt others from it."


def exempt_on(
    organization: Organization,
    *,
    flag_key: str,
    may_lift: Callable[[int], bool],
    until: datetime | None = None,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
) -> AcceptedChange:
    """Exempt an organization and everything below it from the lock that holds there, in the caller's transaction.

    The exemption lifts that lock and all locks between the two. Lifted locks count as ordinary settings. `may_lift`
    says whether the requester may see the organization with the lock. `until` is the time at which it ends by itself;
    an exempt organization gets a new time so.
    The caller has locked the tree as for `flags.states.set_flag.set_flag_on`.

    Raises InvalidFlagKey, FlagNotFound, FlagArchived, FlagPurging, FlagNotLocked, OutsideOfYourSubtree.
    """
    found = _locked(flag_key, organization)
    locked_by = lock_above(organization.pk, found.flag)
    if not may_lift(locked_by):
        raise OutsideOfYourSubtree(NOT_YOURS)
    return _record(
        organization, found, exempt_from=locked_by, until=until, requested_by=requested_by,
        correlation_id=correlation_id, reason=reason,
    )  # fmt: skip


def lock_above(organization_id: int, flag: Flag) -> int:
    """Return the id of the organization whose lock above holds for this one, or would without its own exemption.

    Raises FlagNotLocked.
    """
    lock = lock_to_lift(settings_on_path(organization_id, flag.pk), organization_id)
    if lock is None:
        raise FlagNotLocked
    return lock.organization_id


def end_exemption_on(
    organization: Organization,
    *,
    flag_key: str,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
) -> AcceptedChange | None:
    """End the exemption of an organization, so that the lock holds again. Returns None if there is none.

    Raises InvalidFlagKey, FlagNotFound, FlagArchived, FlagPurging.
    """
    found = _locked(flag_key, organization)
    path = settings_on_path(organization.pk, found.flag.pk)
    if not path or path[-1].organization_id != organization.pk or path[-1].exempt_from_id is None:
        return None
    return _record(
        organization, found, exempt_from=None, until=None, requested_by=requested_by, correlation_id=correlation_id,
        reason=reason,
    )  # fmt: skip


def _locked(flag_key: str, organization: Organization) -> FlagToSet:
    check_flag_key(flag_key)
    found = lock_flag(flag_key, organization)
    if found is None:
        raise unknown_flag(flag_key, known_to=organization.pk)
    return found


def _record(
    organization: Organization,
    found: FlagToSet,
    *,
    exempt_from: int | None,
    until: datetime | None,
    requested_by: str,
    correlation_id: str,
    reason: str,
) -> AcceptedChange:
    change = Change(
        number=found.number, flag=found.flag, organization_id=organization.pk, kind=EXEMPT, requested_by=requested_by
    )
    flag_settings.record_exemption(change, exempt_from=exempt_from, until=until, reason=reason)
    (value,) = decided_on_paths([organization.pk], [found.flag.pk]).values()
    change.enabled, change.variant, change.source_id = value.enabled, value.variant, value.source_id
    write_change(organization, change, value, {"exempt": exempt_from is not None}, correlation_id)
    audit_log.record(
        "flag.exempt" if exempt_from else "flag.exemption-ended", f"flag:{found.flag.key}", by=requested_by,
        organization_id=organization.pk, reason=reason, before=found.before, enabled=value.enabled,
        changeNumber=change.number, jobId=change.job_id, **({"until": until.isoformat()} if until else {}),
    )  # fmt: skip
    did = "lifted the lock" if exempt_from else "ended the exemption from the lock"
    tell(organization, change, found.flag.key, did=f"{did} of the flag {found.flag.key}")
    return AcceptedChange(
        change, found.flag, change.job, created=False, may_be_off_for_everybody=found.may_be_off_for_everybody
    )
