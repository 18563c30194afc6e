"""The audit log: each entry is written in the transaction of its action, and is never changed."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from flagsite.core import actor
from orgs.audit.models import AuditEntry
from orgs.errors import ActorMissing

log = structlog.get_logger(__name__)


RECORD = """
INSERT INTO orgs_historyentry
       (actor, action, reason, via, address, correlation_id, subject, organization_id, details)
VALUES (%(actor)s, %(action)s, %(reason)s, %(via)s, %(address)s, %(correlation_id)s, %(subject)s, %(organization_id)s,
        %(details)s)
"""


def record(
    action: str,
    subject: str,
    *,
    by: str = "",
    organization_id: int | None = None,
    reason: str = "",
    **details: Any,
) -> None:
    """Add an audit entry in the transaction of the calling code, and log it after the commit.

    `action` is the name of the action ("job.retry"), and `subject` is its object ("job:17"). `details` must be JSON,
    such as the values before and after. `by` and `reason` are needed only if they differ from the actor and the reason
    of `flagsite.core.actor`, as in a job that a person requested. Raises ActorMissing in tests if the actor is unknown
    (see `_report_missing_actor`).
    """
    context = actor.current()
    name = _name_of_actor(by, action, subject)
    entry: dict[str, Any] = {
        "actor": name[:200],
        "action": action,
        "subject": subject[:300],
        "organization_id": organization_id,
        "reason": reason or context.reason,
        "details": json.dumps(details),
        "via": context.channel,
        "address": context.address,
        "correlation_id": context.correlation_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, entry)
    logged = {"action": action, "subject": subject, "by": name, "via": context.channel}
    more = {"organizationId": organization_id, "reason": reason or context.reason}
    transaction.on_commit(partial(log.info, "operation_recorded", **logged, **more))


RECORD_EACH = """
INSERT INTO orgs_historyentry
       (actor, action, reason, via, address, correlation_id, subject, organization_id, details)
SELECT %(actor)s, %(action)s, %(reason)s, %(via)s, %(address)s, %(correlation_id)s,
       selected.subject, selected.organization_id, selected.details
  FROM ({selection}) selected
"""


def record_each(action: str, selection: str) -> int:
    """Add an audit entry for each row of a query, by one statement in the transaction of the calling code.

    The query `selection` is SQL without parameters, with the columns subject, organization_id and details. Returns the
    number of entries. Raises ActorMissing like `record`.
    """
    context = actor.current()
    parameters = {
        "actor": _name_of_actor("", action, "several")[:200], "action": action, "reason": context.reason,
        "via": context.channel, "address": context.address, "correlation_id": context.correlation_id,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RECORD_EACH.format(selection=selection), parameters)
        return int(cursor.rowcount)


def entries_about(subject: str) -> QuerySet[AuditEntry]:
    """Return the audit entries of a subject, such as "job:17", newest first."""
    return AuditEntry.objects.filter(subject=subject).order_by("-id")


def _name_of_actor(by: str, action: str, subject: str) -> str:
    name = by or actor.current().actor
    if name == actor.UNKNOWN:
        _report_missing_actor(action, subject)
    return name


def _report_missing_actor(action: str, subject: str) -> None:
    """Report that no code has set the actor, which is an error in Flagsite.

    In tests, raise ActorMissing. In production, the action and its entry must not be lost. Then the entry has the actor
    "unknown", and the log has the stack trace.
    """
    if settings.AUDIT_ACTOR_REQUIRED:
        raise ActorMissing
    log.error("audit_entry_without_actor", action=action, subject=subject, stack_info=True)
