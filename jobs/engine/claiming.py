"""Claim the next job of a queue, within the limits of the queue and of the concurrency keys.

All claims of a queue run one after the other, because each locks the queue's row first. Therefore the limits hold
exactly. A limit that is not set adds no statement.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest, Now

from jobs.engine import transitions
from jobs.engine.kinds import attempt_limits, kinds_of
from jobs.engine.maintenance import maintenance_task
from jobs.engine.models import Job, Queue, lease_time
from jobs.engine.states import Status

FAIR_WINDOW = 10_000
"""A fair queue looks at so many due jobs, in the order of the queue, when it chooses the organization."""
CLOCK_SLACK_SECONDS = 60
"""Claims wait for each other, so an arrival time may be a little later than it seems possible."""
CLAIM = """
UPDATE jobs_job  -- the transition `claim`; index job_due
   SET status = 'IN_PROGRESS', updated_at = statement_timestamp(), lease_token = %(lease)s, worker = %(worker)s,
       lease_expires_at = statement_timestamp() + %(lease_time)s, claims = claims + 1,
       started_at = COALESCE(started_at, statement_timestamp()),
       deadline_at = statement_timestamp() + (%(attempt_seconds)s::jsonb ->> kind)::float8 * interval '1 second',
       unique_key = CASE WHEN unique_while = 'waiting' THEN NULL ELSE unique_key END
 WHERE id = ({next_job})
RETURNING *
"""
NEXT_JOB = """
    SELECT due.id FROM jobs_job due {fair_join}
     WHERE due.queue = %(queue)s AND due.status = 'PENDING' AND due.run_at <= statement_timestamp()
       AND (due.start_by IS NULL OR due.start_by > statement_timestamp()) {only} {with_room} {fair_window}
     ORDER BY {fair_order} due.priority DESC, due.run_at, due.id
     LIMIT 1 FOR UPDATE OF due SKIP LOCKED
"""
ONLY = "AND due.id = %(job)s"
WITH_ROOM = """
       AND due.concurrency_key NOT IN (  -- index job_running
           SELECT concurrency_key FROM jobs_job
            WHERE queue = %(queue)s AND status = 'IN_PROGRESS' AND concurrency_key <> ''
            GROUP BY kind, concurrency_key HAVING count(*) >= COALESCE((%(key_limits)s::jsonb ->> kind)::int, 1))
"""
FAIR = {
    "fair_join": """
      LEFT JOIN (SELECT organization_id, count(*) AS count FROM jobs_job  -- index job_running
                  WHERE queue = %(queue)s AND status = 'IN_PROGRESS' GROUP BY organization_id) running
             ON running.organization_id IS NOT DISTINCT FROM due.organization_id
    """,
    "fair_window": """
       AND due.id IN (SELECT id FROM jobs_job
                       WHERE queue = %(queue)s AND status = 'PENDING' AND run_at <= statement_timestamp()
                       ORDER BY priority DESC, run_at, id LIMIT %(fair_window)s)
    """,
    "fair_order": "COALESCE(running.count, 0),",
}
UNFAIR = dict.fromkeys(FAIR, "")


def claim(*, queue: str, worker: str, job_id: int | None = None) -> Job | None:
    """Claim the next due job of `queue` for `worker`; return None if no job may start now.

    The job with the highest priority comes first, then the job that has been due longest. In a fair queue, a job of
    the organization with the fewest running jobs comes first. A job whose concurrency key is used up lets others
    pass. The lease expires JOB_LEASE_SECONDS after the current time of the database. Its fencing token is
    `lease_token` of the returned job. No job may start while the queue is paused, runs as many jobs as its concurrency
    allows, or has used up its rate. With `job_id`, no other job comes into question. Raises UnknownQueue.
    """
    with transaction.atomic():
        locked = Queue.objects.select_for_update(no_key=True).filter(name=queue).annotate(now=Now()).first()
        if locked is None:
            raise transitions.unknown_queue(queue)
        if locked.paused_at or _is_full(locked) or _has_used_up_rate(locked):
            return None
        job = _claim_next(locked, worker, job_id)
        if job is not None and locked.rate_allowed is not None:
            _spend_rate(locked)
    return job


def _claim_next(queue: Queue, worker: str, job_id: int | None) -> Job | None:
    kinds = kinds_of(queue.name)
    key_limits = {kind.name: kind.key_limit for kind in kinds if kind.concurrency_key is not None}
    parts = (FAIR if queue.is_fair and job_id is None else UNFAIR) | {"only": "" if job_id is None else ONLY}
    next_job = NEXT_JOB.format(with_room=WITH_ROOM if key_limits else "", **parts)
    parameters: dict[str, Any] = {
        "queue": queue.name,
        "job": job_id,
        "worker": worker,
        "lease": uuid4(),
        "lease_time": lease_time(),
        "attempt_seconds": json.dumps(attempt_limits()),
        "key_limits": json.dumps(key_limits),
        "fair_window": FAIR_WINDOW,
    }
    return next(iter(Job.objects.raw(CLAIM.format(next_job=next_job), parameters)), None)


def _is_full(queue: Queue) -> bool:
    if queue.concurrency is None:
        return False
    return Job.objects.filter(queue=queue.name, status=Status.IN_PROGRESS).count() >= queue.concurrency


def _has_used_up_rate(queue: Any) -> bool:
    """Whether no further job may start now, by the generic cell rate algorithm (ITU-T I.371)."""
    if queue.rate_allowed is None or queue.rate_arrival_at is None:
        return False
    return bool(queue.rate_arrival_at > queue.now + queue.rate_tolerance)


ADAPT_ARRIVALS = """
UPDATE jobs_queue SET rate_arrival_at = statement_timestamp() + rate_seconds * interval '1 second'
 WHERE rate_arrival_at > statement_timestamp() + (rate_seconds + %(slack)s) * interval '1 second' AND {which}
"""


@maintenance_task
def adapt_arrivals(queue: str | None = None) -> int:
    """Bring arrival times that a queue cannot have back to the latest one that it can have.

    A new rate of `queue` leaves such a time, and a clock of the database that went wrong for a while; else the queue
    would stand still until then. Without `queue`, this heals all queues. Returns the number of changed queues.
    """
    which = "name = %(queue)s" if queue else "true"
    slack = 0 if queue else CLOCK_SLACK_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(ADAPT_ARRIVALS.format(which=which), {"queue": queue, "slack": slack})
        return int(cursor.rowcount)


def _spend_rate(queue: Queue) -> None:
    arrival = Greatest(Coalesce(F("rate_arrival_at"), Now()), Now()) + queue.rate_interval
    Queue.objects.filter(pk=queue.pk).update(rate_arrival_at=arrival)
