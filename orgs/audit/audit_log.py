"""The audit log: each entry is written in the transaction of its action, and is never changed."""

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
    """Add an audit entry in the transaction of the calling code.

    `action` is the name of the action ("job.retry"), and `subject` is its object ("job:17"). `details` must be JSON,
    such as the values before and after. `by` and `reason` are needed only if they differ from the actor and the reason
    of `flagsite.core.actor`, as in a job that a person requested. Raises ActorMissing in tests if the actor is unknown
    (see `_report_missing_actor`).
    """
    context = actor.current()
    name = by or context.actor
    if name == actor.UNKNOWN:
        _report_missing_actor(action, subject)
    AuditEntry.objects.create(
        actor=name[:200],
        action=action,
        subject=subject[:300],
        organization_id=organization_id,
        reason=reason or context.reason,
        details=details,
        via=context.channel,
        address=context.address,
        correlation_id=context.correlation_id,
    )


def entries_about(subject: str) -> QuerySet[AuditEntry]:
    """Return the audit entries of a subject, such as "job:17", newest first."""
    return AuditEntry.objects.filter(subject=subject).order_by("-id")


def _report_missing_actor(action: str, subject: str) -> None:
    """Report that no code has set the actor, which is an error in Flagsite.

    In tests, raise ActorMissing. In production, the action and its entry must not be lost. Then the entry has the actor
    "unknown", and the log has the stack trace.
    """
    if settings.AUDIT_ACTOR_REQUIRED:
        raise ActorMissing
    log.error("audit_entry_without_actor", action=action, subject=subject, stack_info=True)
