"""Setting a flag: the one function that every channel calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from flags.definitions.fields import as_json, values_of
from flags.definitions.models import Flag, check_flag_key
from flags.errors import FlagArchived, FlagNotFound, FlagPurging
from flags.states import propagation, sql
from flags.states.models import Change
from flags.states.sql import Span, Value
from jobs.engine import lifecycle
from jobs.engine.models import Job
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.subtrees import Subtree


@dataclass(frozen=True, slots=True)
class AcceptedChange:
    """A change that was accepted. `job` carries it to the organizations below; None: it is written already."""

    change: Change
    flag: Flag
    job: Job | None


def set_flag(
    *,
    organization_id: int,
    flag_key: str,
    enabled: bool,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
) -> AcceptedChange:
    """Set a flag on an organization and all that is below it.

    1. Take the tree lock shared: nothing is moved or created until the commit, and a later move draws a higher
    number. 2. Draw the change's number. 3. A leaf gets its row at once; for a parent a job is committed together
    with the change. A flag that does not exist yet is created (setting FLAGS_CREATE_ON_SET). A killed one can be set:
    that says what holds once it is no longer killed.

    Raises OrganizationNotFound, InvalidFlagKey, FlagNotFound, FlagArchived, FlagPurging.
    """
    with transaction.atomic():
        locks.lock_tree_for_reading()
        organization = Organization.objects.filter(pk=organization_id).first()
        if organization is None:
            raise OrganizationNotFound
        flag = _flag(flag_key, requested_by)
        number = sql.next_number()
        job = None
        if organization.has_children:
            wanted = {"featureFlagName": flag_key, "enabled": enabled}
            job = _carried_down(organization.subtree, wanted, requested_by=requested_by, correlation_id=correlation_id)
        else:
            leaf = Span(organization_id - 1, organization_id, 1)
            sql.write_span(organization.subtree, leaf, Value(flag.pk, enabled, organization_id, number), job_id=None)
        change = Change.objects.create(
            number=number,
            flag=flag,
            organization_id=organization_id,
            enabled=enabled,
            source_id=organization_id,
            job=job,
            requested_by=requested_by,
        )
        audit_log.record(
            "flag.set", f"flag:{flag_key}", by=requested_by, organization_id=organization_id, reason=reason,
            enabled=enabled, changeNumber=number, jobId=job.pk if job else None,
        )  # fmt: skip
    return AcceptedChange(change, flag, job)


def _carried_down(subtree: Subtree, wanted: dict[str, Any], *, requested_by: str, correlation_id: str) -> Job:
    """The job that writes every organization's row."""
    return lifecycle.create(
        kind=propagation.KIND,
        organization_id=subtree.organization_id,
        arguments=wanted,
        total=subtree.size,
        requested_by=requested_by,
        correlation_id=correlation_id,
    )


def _flag(key: str, requested_by: str) -> Flag:
    """The flag, made where that is wanted, and held: nobody archives or purges it before the change is committed."""
    check_flag_key(key)
    held = Flag.objects.raw("SELECT * FROM flags_flag WHERE key = %s FOR SHARE", [key])
    flag = next(iter(held), None)
    if flag is None and settings.FLAGS_CREATE_ON_SET:
        author = {"created_by": requested_by[:200], "updated_by": requested_by[:200]}
        flag, made = Flag.objects.get_or_create(key=key, defaults=author)
        if made:
            shown = as_json(values_of(flag))
            audit_log.record("flag.create", f"flag:{key}", by=requested_by, before=None, after=shown, onSet=True)
    return _settable(key, flag)


def check_may_be_set(key: str) -> bool:
    """Whether the flag is there; where it is not, setting it creates it.

    Raises FlagNotFound, FlagArchived, FlagPurging.
    """
    flag = Flag.objects.filter(key=key).first()
    if flag is None and settings.FLAGS_CREATE_ON_SET:
        return False
    _settable(key, flag)
    return True


def _settable(key: str, flag: Flag | None) -> Flag:
    if flag is None:
        raise FlagNotFound(f"There is no flag {key!r}.")
    if flag.purging:
        raise FlagPurging(f"The flag {key!r} is being purged.")
    if flag.archived:
        raise FlagArchived(f"The flag {key!r} is archived: off for everybody. Unarchive it before you set it.")
    return flag
