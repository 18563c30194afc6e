"""End an attempt whose work is done, and claim the next job of the queue in the same transaction.

Most attempts end well, are the only ones of their chain, and are not the last member of a batch. For these, one message
to the database ends the attempt, counts it in the hourly metrics and claims the next job. So the worker waits for one
round trip and one commit for each job. All others end in a transaction of their own (`lifecycle.finish`).
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass

import structlog
from django.db import connection, transaction

from jobs.engine import lifecycle, transitions
from jobs.engine.claiming import Claim
from jobs.engine.kinds import find_kind
from jobs.engine.models import Job
from jobs.engine.run import Run

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Following:
    """The job that follows one that has ended."""

    is_known: bool = False
    """Whether the worker has tried to claim it."""
    job: Job | None = None
    """The claimed job; None if no job may start now."""


UNKNOWN = Following()


def may_end_at_once(run: Run) -> bool:
    """Return whether `end_at_once` may end the attempt, as far as the worker knows."""
    kind = find_kind(run.job.kind)
    follows = kind is not None and kind.on_end is not None and kind.follows_success()
    return run.job.parent_job_id is None and not run.artifacts and not follows


def end_at_once(run: Run, claim: Claim | None) -> tuple[bool, Following]:
    """End an attempt whose work is done, and make the claim, if there is one, in one round trip and one transaction.

    Returns whether the attempt has ended, and the job that follows. If the attempt has not ended, its lease is lost, or
    its end needs `lifecycle.finish`. The claim is made all the same.
    """
    result = None if run.result is None else json.dumps(run.result)
    statement, parameters = transitions.complete_at_once(run.job, run.lease, result)
    claims = claim.prepared() if claim else None
    if claims is not None:
        statement, parameters = statement + claims.statement, parameters | claims.parameters
    following = UNKNOWN
    savepoint = transaction.atomic() if connection.in_atomic_block else nullcontext()
    with savepoint, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        if run.job.batch_id is not None:
            cursor.nextset(), cursor.nextset()
        counts = cursor.fetchone()
        if counts is not None:
            lifecycle.log_completed(run.job, *counts)
        if claims is not None:
            cursor.nextset()
            following = Following(is_known=True, job=claims.read(cursor))
    return counts is not None, following
