"""The periodic tasks of this app; each calls a plain function."""

from __future__ import annotations

from celery import shared_task

from orgs.idempotency import stored_answers


@shared_task(name="orgs.forget_idempotent_requests")
def forget_idempotent_requests() -> None:
    """Delete stored answers that are older than IDEMPOTENCY_HOURS."""
    stored_answers.delete_expired()
