"""The history of what operators and keys did: written in the transaction of the deed, never changed."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from flagsite.core import actor
from orgs.audit.models import HistoryEntry


def record(
    action: str,
    subject: str,
    *,
    by: str = "",
    organization_id: int | None = None,
    reason: str = "",
    **details: Any,
) -> None:
    """Add an entry, committed with the caller's transaction.

    `action` is what was done ("job.retry"), `subject` what to ("job:17"); `details` must be JSON, such as the values
    before and after.
    """
    door = actor.current()
    HistoryEntry.objects.create(
        actor=(by or actor.actor())[:200],
        action=action,
        subject=subject[:300],
        organization_id=organization_id,
        reason=reason,
        details=details,
        via=door.via,
        address=door.address,
        correlation_id=actor.correlation_id(),
    )


def entries_about(subject: str) -> QuerySet[HistoryEntry]:
    """What was done to it, newest first."""
    return HistoryEntry.objects.filter(subject=subject).order_by("-id")
