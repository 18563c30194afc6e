"""Makes every web process read again what it caches: for operators who changed the database by hand, or doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from flags.definitions.models import Flag
from flags.serving.cache_events import NOTIFICATION_CHANNEL, CacheEvent, EverythingOf, OrganizationMoved, encode
from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, find_visible_organizations
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound

ONLY_UNBOUND = "Only a key that is bound to no organization may do that."


@dataclass(slots=True)
class Invalidated:
    """What every process reads again, and what could not be invalidated, with the reason."""

    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)


def invalidate(
    caller: Caller,
    *,
    everything: bool = False,
    organizations: Sequence[OrganizationName] = (),
    flag_keys: Sequence[str] = (),
) -> Invalidated:
    """Make all processes read again, after the commit: everything, organizations with all below them, or flags.

    A caller with a scope may do so for its subtree only. Returns what is read again and what could not be invalidated.
    """
    result = Invalidated()
    events: list[CacheEvent] = []
    unbound = caller.organization_id is None
    with transaction.atomic():
        if everything and unbound:
            events += EverythingOf
            result.done.append({"all": True})
        elif everything:
            result.failed.append({"all": True, "reason": ONLY_UNBOUND})
        for reference, found in find_visible_organizations(caller, organizations):
            if isinstance(found, FlagsiteError):
                unknown = isinstance(found, OrganizationNotFound)
                reason = "There is no such organization." if unknown else found.detail
                result.failed.append({"organizationId": reference.id or reference.text, "reason": reason})
            else:
                events.append(OrganizationMoved(found.pk))
                result.done.append({"organizationId": found.pk})
        known = set(Flag.objects.filter(key__in=flag_keys).values_list("key", flat=True))
        for key in flag_keys:
            if unbound and key in known:
                events += (EverythingOf.DEFINITIONS, EverythingOf.TREE)  # its states are in every snapshot
                result.done.append({"featureFlag": key})
            else:
                reason = "There is no such flag." if unbound else ONLY_UNBOUND
                result.failed.append({"featureFlag": key, "reason": reason})
        _notify(events)
        audit_log.record("cache.invalidate", "cache", done=result.done, failed=result.failed)
    return result


def invalidate_all() -> None:
    """Make all processes read again everything that they cache, after the commit: for jobs."""
    _notify(EverythingOf)


def _notify(events: Iterable[CacheEvent]) -> None:
    with connection.cursor() as cursor:
        for event in events:
            cursor.execute("SELECT pg_notify(%s, %s)", [NOTIFICATION_CHANNEL, encode(event)])
