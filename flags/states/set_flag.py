"""Setting a flag on an organization. All channels call the same function, `set_flag`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from flags.definitions.fields import as_json, values_of
from flags.definitions.models import Flag, check_flag_key
from flags.definitions.refusals import archived_flag, locked_flag, offer, purging_flag, unknown_flag
from flags.definitions.who_may_define import defining_role
from flags.events import FLAG_CHANGED
from flags.states import flag_settings, propagation, sql
from flags.states.choices import Choice
from flags.states.models import Change
from flags.states.placed_settings import decided_on_paths, settings_of_subtree, settings_on_path
from flags.states.planning import ANYTHING, Agreed, of_reset, of_set
from flags.states.setting_rules import (
    LOCK,
    NONE,
    SET,
    Below,
    DecidedValue,
    Piece,
    PlacedSetting,
    deciding_lock,
    is_live,
)
from flags.states.sql import Span
from jobs.engine import lifecycle
from jobs.engine.models import Job
from jobs.notifications.events import notify
from orgs.access.models import Role
from orgs.access.visible_organizations import hold
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree, RoleNeeded
from orgs.tree.models import Organization
from orgs.tree.subtrees import tree_number

FLAG_TO_SET = f"""
SELECT flag.*, nextval('flags_change_number') AS number,  -- drawn under both locks
       (SELECT enabled FROM flags_flagstate
         WHERE organization_id = %(organization)s AND flag_id = flag.id) AS before,
       EXISTS (SELECT FROM flags_flag_prerequisites WHERE from_flag_id = flag.id) AS has_prerequisites
  FROM (SELECT * FROM flags_flag WHERE key = %(key)s FOR SHARE) flag
 CROSS JOIN LATERAL (
       SELECT {{lock}}(hashtextextended('settings of flag ' || flag.id || ' in tree ' || {tree_number("place")}, 0)),
              pg_advisory_xact_lock(hashtextextended('flag ' || flag.id || ' on organization ' || place.id, 0))
         FROM orgs_organization place WHERE id = %(organization)s OFFSET 0) settings
"""  # noqa: S608 - no input in it
LOCK_FOR_LEAF, LOCK_FOR_PARENT = "pg_advisory_xact_lock_shared", "pg_advisory_xact_lock"
"""The locks of the settings of a flag in a tree. Who sets the flag on an organization with children ends settings
below, which others may record at the same time. So its lock keeps them away. Who sets the flag on a leaf keeps away
only those who set it on the same leaf, by the second lock."""


@dataclass(frozen=True, slots=True)
class AcceptedChange:
    """An accepted change, and the job that propagates it.

    `job` is None if the organization has no children: then the change is already written. `created` says whether the
    flag did not exist before. `may_be_off_for_everybody` says whether something else than flag states can turn the flag
    off everywhere (`flags.states.selectors.why_off_for_everybody`). `settings_ended` is the number of settings below
    that the change has ended.
    """

    change: Change
    flag: Flag
    job: Job | None
    created: bool
    may_be_off_for_everybody: bool
    settings_ended: int = 0


@dataclass(frozen=True, slots=True)
class FlagToSet:
    """A flag that is locked so that nobody archives or purges it before the commit, and what belongs to the change."""

    flag: Flag
    number: int
    """The number of the change."""
    before: bool | None = None
    """The stored value of the organization."""
    created: bool = False
    has_prerequisites: bool = False

    @property
    def may_be_off_for_everybody(self) -> bool:
        return self.flag.killed or self.has_prerequisites


def set_flag(*, organization_id: int, **change: Any) -> AcceptedChange:
    """Set a flag on an organization, in a transaction of its own.

    The other arguments and the errors are those of `set_flag_on`. Raises also OrganizationNotFound.
    """
    with find_and_hold(organization_id) as organization:
        return set_flag_on(organization, **change)


def reset_flag(*, organization_id: int, **change: Any) -> AcceptedChange | None:
    """Reset a flag on an organization, in a transaction of its own.

    The other arguments and the errors are those of `reset_flag_on`. Raises also OrganizationNotFound.
    """
    with find_and_hold(organization_id) as organization:
        return reset_flag_on(organization, **change)


@contextmanager
def find_and_hold(organization_id: int) -> Iterator[Organization]:
    """Yield an organization, in a transaction with the shared lock of its tree. Raises OrganizationNotFound."""
    with transaction.atomic():
        yield hold(lambda: _organization(organization_id), organization_id)


def _organization(organization_id: int) -> Organization:
    organization: Organization | None = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise OrganizationNotFound
    return organization


def set_flag_on(
    organization: Organization,
    *,
    flag_key: str,
    enabled: bool | None = None,
    choice: Choice | None = None,
    below: Below = Below.OVERWRITE,
    only_here: bool = False,
    expires_at: datetime | None = None,
    agreed: Agreed = ANYTHING,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
    may_define: bool = True,
) -> AcceptedChange:
    """Set a flag on an organization, in the caller's transaction.

    1. The caller has taken the tree lock shared, and has read the organization after that. So nothing in the tree is
    moved or created until the commit, and a later move gets a higher change number. 2. Draw the change number. 3.
    Record the setting. 4. Write the flag state of an organization without children at once; for an organization with
    children, create a propagation in the same transaction.

    The value is `enabled`, or any `choice` for a flag with variants. `below` says what happens to the settings below.
    With `only_here` the value does not count for organizations below. A setting with `expires_at` ends by itself then.
    `agreed` is what the caller knows of the effect.

    With the setting FLAGS_CREATE_ON_SET, a flag that does not exist is created, if the caller may define flags
    (`may_define`): a definition holds for all organizations, so a caller who is bound to an organization may not.
    A killed flag can be set; the value takes effect when the flag is no longer killed.

    Raises InvalidFlagKey, FlagNotFound, FlagArchived, FlagPurging, FlagLocked, PlanStale, BlastRadius,
    OutsideOfYourSubtree, InvalidValue.
    """
    found = _get_or_create_flag(flag_key, requested_by, organization, may_define=may_define)
    kind = LOCK if below is Below.LOCK else SET
    chosen = (choice or Choice(enabled)).of(found.flag)
    change = Change(
        number=found.number, flag=found.flag, organization_id=organization.pk, kind=kind, enabled=chosen.enabled,
        variant=chosen.number(is_stored=True), source_id=organization.pk, requested_by=requested_by,
    )  # fmt: skip
    if agreed != ANYTHING:
        check_is_not_locked(organization.pk, found.flag)
        agreed.check(of_set(organization.subtree, chosen, below=below, only_here=only_here))
    details: dict[str, Any] = {"reason": reason, "only_here": only_here, "expires_at": expires_at}
    details["ends_below"] = below is Below.OVERWRITE
    ended = flag_settings.record(organization.subtree, change, **details)
    if ended is None:
        check_is_not_locked(organization.pk, found.flag)
        ended = flag_settings.record(organization.subtree, change, **details, respects_locks=False)
    if below is Below.KEEP:
        flag_settings.end_exemptions_from([organization.pk], found.flag.pk)
    change.is_uniform = not only_here and _is_uniform(organization, change, below)
    value = DecidedValue(
        found.flag.pk, chosen.enabled, organization.pk, change.number, locked=kind == LOCK, variant=change.variant
    )
    write_change(organization, change, value, chosen.details, correlation_id)
    words = {
        "settingsBelow": below.value,
        "settingsEnded": ended,
        "onlyHere": only_here,
        "expiresAt": expires_at and expires_at.isoformat(),
    }
    audit_log.record(
        "flag.lock" if kind == LOCK else "flag.set", f"flag:{flag_key}", by=requested_by,
        organization_id=organization.pk, reason=reason, before=found.before, **chosen.details,
        changeNumber=change.number, jobId=change.job_id, **{name: word for name, word in words.items() if word},
    )  # fmt: skip
    tell(organization, change, flag_key, only_here=only_here)
    return AcceptedChange(change, found.flag, change.job, found.created, found.may_be_off_for_everybody, ended or 0)


def reset_flag_on(
    organization: Organization,
    *,
    flag_key: str,
    subtree: bool = False,
    agreed: Agreed = ANYTHING,
    respects_locks: bool = True,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
) -> AcceptedChange | None:
    """Reset a flag on an organization to the inherited value: its set or its lock ends. As `set_flag_on` otherwise.

    With `subtree`, the settings below end too. Without `respects_locks`, a setting ends that a lock above masks.
    Returns None if there is no setting to end.

    Raises InvalidFlagKey, FlagNotFound, FlagArchived, FlagPurging, FlagLocked, PlanStale, BlastRadius.
    """
    check_flag_key(flag_key)
    found = lock_flag(flag_key, organization)
    if found is None:
        raise unknown_flag(flag_key, known_to=organization.pk)
    if respects_locks:
        check_is_not_locked(organization.pk, found.flag)
    path = settings_on_path(organization.pk, found.flag.pk)
    if agreed != ANYTHING:
        agreed.check(of_reset(organization.subtree, found.flag, below=subtree))
    change = Change(
        number=found.number, flag=found.flag, organization_id=organization.pk, kind=NONE, requested_by=requested_by
    )
    is_set = bool(path) and path[-1].organization_id == organization.pk and path[-1].kind != NONE
    if not is_set and not (subtree and any(is_live(each) for each in _below(organization, found.flag))):
        return None
    ended = flag_settings.record(organization.subtree, change, reason=reason, ends_below=subtree, respects_locks=False)
    flag_settings.end_exemptions_from([organization.pk], found.flag.pk)
    (value,) = decided_on_paths([organization.pk], [found.flag.pk]).values()
    change.enabled, change.variant, change.source_id = value.enabled, value.variant, value.source_id
    below = Below.OVERWRITE if subtree else Below.KEEP
    change.is_uniform = not value.locked and _is_uniform(organization, change, below)  # the change does not tell a lock
    write_change(organization, change, value, {"reset": True}, correlation_id)
    audit_log.record(
        "flag.reset", f"flag:{flag_key}", by=requested_by, organization_id=organization.pk, reason=reason,
        before=found.before, enabled=value.enabled, changeNumber=change.number, jobId=change.job_id,
        **({"settingsEnded": ended} if ended else {}),
    )  # fmt: skip
    tell(organization, change, flag_key)
    return AcceptedChange(
        change,
        found.flag,
        change.job,
        created=False,
        may_be_off_for_everybody=found.may_be_off_for_everybody,
        settings_ended=ended or 0,
    )


def check_is_not_locked(organization_id: int, flag: Flag) -> None:
    """Check that no lock above an organization holds for it. Raises FlagLocked.

    The caller has locked the settings of the flag before this statement.
    """
    path = settings_on_path(organization_id, flag.pk)
    above = [replace(each, kind=NONE) if each.organization_id == organization_id else each for each in path]
    lock = deciding_lock(above)
    if lock is not None:
        raise locked_flag(flag.key, lock.organization_id)


def _is_uniform(organization: Organization, change: Change, below: Below) -> bool:
    """Return whether nothing that is set below counts beside the change: it has ended, or there is nothing.

    What is set below later has a higher number, and so has a move that brings something there.
    """
    if below is Below.OVERWRITE or not organization.has_children:
        return True
    found = _below(organization, change.flag)
    if below is Below.LOCK:
        return all(each.exempt_from_id is None for each in found)
    return not any(is_live(each) for each in found)


def _below(organization: Organization, flag: Flag) -> list[PlacedSetting]:
    return settings_of_subtree(organization.subtree, [flag.pk])[flag.pk].below


def write_change(
    organization: Organization, change: Change, value: DecidedValue, arguments: dict[str, Any], correlation_id: str
) -> None:
    """Save the change, and write the flag state of a leaf now, or create the job that writes those of a subtree.

    `value` is that of a leaf. `arguments` are shown with the job.
    """
    if organization.has_children:
        change.job = lifecycle.create(
            kind=propagation.KIND,
            organization_id=organization.pk,
            arguments={"featureFlagName": change.flag.key, **arguments},
            total=organization.subtree.size,
            requested_by=change.requested_by,
            correlation_id=correlation_id,
        )
    else:
        leaf = Span(organization.pk - 1, organization.pk, 1)
        sql.write_decided(organization.subtree, leaf, [Piece(0, value)], job_id=None)
    change.save(force_insert=True)


def tell(organization: Organization, change: Change, flag_key: str, *, did: str = "", only_here: bool = False) -> None:
    """Record the event of the change, for those who want to be told.

    `did` says what somebody did, if the kind of the change does not. With `only_here`, nobody below is concerned.
    """
    value = change.value_in_words
    sets = {SET: f"set the flag {flag_key} to {value}", LOCK: f"locked the flag {flag_key} to {value}"}
    below = {SET: f"set to {value}", LOCK: f"locked to {value}", NONE: "reset"}.get(change.kind, "changed")
    notify(
        FLAG_CHANGED,
        f"{change.requested_by} has {did or sets.get(change.kind, f'reset the flag {flag_key}')} for {organization} "
        f"{'only' if only_here else 'and everything below it'}.",
        text_below="" if only_here else f"The flag {flag_key} was {'changed' if did else below} further up.",
        subject=f"flag:{flag_key}",
        organization_id=organization.pk,
        page=("admin:flags_flag_change", change.flag_id),
        flag=flag_key,
        enabled=change.enabled,
        changeNumber=change.number,
        by=change.requested_by,
    )


def _get_or_create_flag(key: str, requested_by: str, organization: Organization, *, may_define: bool) -> FlagToSet:
    """Return the flag, locked, with the next change number, and create it if it does not exist."""
    check_flag_key(key)
    found = lock_flag(key, organization)
    if found is not None:
        return found
    _check_may_create(key, organization.pk, may_define=may_define)
    author = {"created_by": requested_by[:200], "updated_by": requested_by[:200]}
    flag, created = Flag.objects.get_or_create(key=key, defaults=author)
    if created:
        definition = as_json(values_of(flag))
        audit_log.record("flag.create", f"flag:{key}", by=requested_by, before=None, after=definition, onSet=True)
        return FlagToSet(flag, sql.next_number(), created=True)
    found = lock_flag(key, organization)
    if found is None:
        raise unknown_flag(key)
    return found


def lock_flag(key: str, organization: Organization) -> FlagToSet | None:
    """Lock a flag and its settings in the tree, then draw a change number; return None if the flag does not exist."""
    statement = FLAG_TO_SET.format(lock=LOCK_FOR_PARENT if organization.has_children else LOCK_FOR_LEAF)
    rows: Any = Flag.objects.raw(statement, {"key": key, "organization": organization.pk})
    row = next(iter(rows), None)
    if row is None:
        return None
    _check_settable(row)
    return FlagToSet(row, row.number, before=row.before, has_prerequisites=row.has_prerequisites)


def check_can_be_set(key: str, organization_id: int, *, may_define: bool = True) -> Flag | None:
    """Check that the flag can be set on an organization. Returns the flag; None if setting it creates it.

    Raises FlagNotFound, FlagArchived, FlagPurging, FlagLocked, OutsideOfYourSubtree.
    """
    flag = Flag.objects.filter(key=key).first()
    if flag is None:
        _check_may_create(key, organization_id, may_define=may_define)
        return None
    _check_settable(flag)
    check_is_not_locked(organization_id, flag)
    return flag


def _check_may_create(key: str, organization_id: int, *, may_define: bool) -> None:
    known_to = None if may_define else organization_id
    if not settings.FLAGS_CREATE_ON_SET:
        raise unknown_flag(key, known_to=known_to)
    if not may_define:
        role = defining_role()
        needs_more = role is not Role.EDITOR  # everybody who sets flags has the role editor
        somebody = f"somebody with the role {role.value}" if needs_more else "somebody"
        words = (
            f"There is no flag {key!r}.{offer(key, known_to=known_to)} A definition holds for all organizations, so "
            f"only {somebody} who is not bound to an organization can define the flag."
        )
        raise RoleNeeded(words) if needs_more else OutsideOfYourSubtree(words)


def _check_settable(flag: Flag) -> None:
    if flag.purging:
        raise purging_flag(flag.key)
    if flag.archived:
        raise archived_flag(flag.key)
