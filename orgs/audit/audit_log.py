"""The audit log: an entry is written in the transaction of the action that it tells of, and never changed."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db.models import QuerySet

from flagsite.core import actor
from orgs.audit.models import AuditEntry
from orgs.errors import ActorMissing

log = structlog.get_logger(__name__)


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
    before and after. `by` is the actor where that is not the one of `flagsite.core.actor`, as in a job that a person
    asked for. Raises ActorMissing in tests; `_report_missing_actor` says why.
    """
    context = actor.current()
    if not (by or context.has_actor):
        _report_missing_actor(action, subject)
    AuditEntry.objects.create(
        actor=(by or context.actor)[:200],
        action=action,
        subject=subject[:300],
        organization_id=organization_id,
        reason=reason,
        details=details,
        via=context.channel,
        address=context.address,
        correlation_id=context.correlation_id,
    )


def entries_about(subject: str) -> QuerySet[AuditEntry]:
    """The entries about a subject, such as "job:17"; newest first."""
    return AuditEntry.objects.filter(subject=subject).order_by("-id")


def _report_missing_actor(action: str, subject: str) -> None:
    """No code has said who acts: a mistake in Flagsite.

    Tests fail at it. In production the action and its entry must not be lost, so the entry names the actor "unknown",
    and the log says where the mistake is.
    """
    if settings.AUDIT_ACTOR_REQUIRED:
        raise ActorMissing
    log.error("audit_entry_without_actor", action=action, subject=subject, stack_info=True)
