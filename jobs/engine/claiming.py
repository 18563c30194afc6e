"""Claim the next job of a queue, within the limits of the queue and of the concurrency keys.

All claims of a queue run one after the other, because each locks the queue's row first. Therefore the limits hold
exactly. A limit that is not set adds no work: the statement of a claim contains only the limits that the queue had when
this process looked last. The database compares them under the lock. If they have changed, the claim is sent again.

A claim is one message of two statements, so it takes one round trip. The second statement sees what was committed while
the first waited for the lock. `statement_timestamp()` is the time of the message, which is before the wait. So the
lease begins with `clock_timestamp()`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from jobs.engine import transitions
from jobs.engine.kinds import attempt_limits, kinds_of, known_kinds
from jobs.engine.maintenance import maintenance_task
from jobs.engine.models import Job, lease_time

FAIR_WINDOW = 10_000
"""A fair queue looks at so many due jobs, in the order of the queue, when it chooses the organization.

It also looks at a tenth as many at the end. So a job of another organization starts at once even if it comes behind a
million jobs of one organization.
"""
CLOCK_SLACK_SECONDS = 60
"""Claims wait for each other, so an arrival time may be a little later than it seems possible."""
LOCK_QUEUE = """
SELECT concurrency IS NOT NULL, rate_allowed IS NOT NULL, is_fair FROM jobs_queue WHERE name = %(queue)s
   FOR NO KEY UPDATE;
"""
CLAIM = """
UPDATE jobs_job job  -- the transition `claim`; index job_due
   SET status = 'IN_PROGRESS', updated_at = moment.now, lease_token = %(lease)s, worker = %(worker)s,
       lease_expires_at = moment.now + %(lease_time)s, claims = claims + 1,
       started_at = COALESCE(started_at, moment.now),
       deadline_at = moment.now + (%(attempt_seconds)s::jsonb ->> kind)::float8 * interval '1 second',
       unique_key = CASE WHEN unique_while = 'waiting' THEN NULL ELSE unique_key END
  FROM (SELECT clock_timestamp() AS now OFFSET 0) moment
 WHERE id = ({next_job})
RETURNING {columns}
"""
CLAIM_AND_SPEND = f"""
WITH claimed AS ({CLAIM}),
spent AS (
    UPDATE jobs_queue
       SET rate_arrival_at = GREATEST(rate_arrival_at, clock_timestamp())
                             + rate_seconds * interval '1 second' / rate_allowed
     WHERE name = %(queue)s AND EXISTS (SELECT FROM claimed))
SELECT * FROM claimed
"""  # noqa: S608 - no input in it
NEXT_JOB = """
    SELECT due.id FROM jobs_job due {fair_join}
     WHERE due.queue = %(queue)s AND due.status = 'PENDING' AND due.run_at <= statement_timestamp()
       AND (due.start_by IS NULL OR due.start_by > statement_timestamp())
       AND due.kind = ANY(%(kinds)s) {only} {with_room} {fair_window}
       AND (SELECT paused_at IS NULL AND {fairness} {concurrency} {rate} FROM jobs_queue WHERE name = %(queue)s)
     ORDER BY {fair_order} due.priority DESC, due.run_at, due.id
     LIMIT 1 FOR UPDATE OF due SKIP LOCKED
"""
ONLY = "AND due.id = %(job)s"
CONCURRENCY = """
                 AND concurrency > (SELECT count(*) FROM jobs_job  -- index job_running
                                     WHERE queue = %(queue)s AND status = 'IN_PROGRESS')
"""
RATE = """
                 AND rate_allowed > 0  -- generic cell rate algorithm (ITU-T I.371)
                 AND COALESCE(rate_arrival_at <= clock_timestamp()
                              + rate_seconds * (1 - 1.0 / rate_allowed) * interval '1 second', TRUE)
"""
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
       AND due.id IN ((SELECT id FROM jobs_job
                        WHERE queue = %(queue)s AND status = 'PENDING' AND run_at <= statement_timestamp()
                          AND kind = ANY(%(kinds)s)
                        ORDER BY priority DESC, run_at, id LIMIT %(fair_window)s)
                      UNION ALL
                      (SELECT id FROM jobs_job
                        WHERE queue = %(queue)s AND status = 'PENDING' AND run_at <= statement_timestamp()
                          AND kind = ANY(%(kinds)s)
                        ORDER BY priority, run_at DESC, id DESC LIMIT %(fair_window)s / 10))
    """,
    "fair_order": "COALESCE(running.count, 0),",
}
UNFAIR = dict.fromkeys(FAIR, "")
HELD = """
SELECT {columns} FROM jobs_job job  -- index job_running
 WHERE queue = %(queue)s AND status = 'IN_PROGRESS' AND lease_token = %(lease)s
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which limits a queue has."""

    concurrency: bool = False
    rate: bool = False
    fair: bool = False


_limits: dict[str, Limits] = {}
"""The limits of each queue when this process looked last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim that is not made yet: for the next due job of `queue`, or for the job `job_id` alone.

    `lease` will be the fencing token, so that a process can find out whether a claim whose answer was lost was made.
    """

    queue: str
    worker: str
    job_id: int | None = None
    lease: UUID = field(default_factory=uuid4)

    def prepared(self) -> PreparedClaim:
        """Return the claim with the limits that its queue probably has."""
        return PreparedClaim(self, _limits.get(self.queue, Limits()))


@dataclass(frozen=True, slots=True)
class PreparedClaim:
    """A claim as a message to the database, which makes it only if the queue has these limits."""

    claim: Claim
    limits: Limits

    @property
    def statement(self) -> str:
        """The two statements of the claim."""
        has_keys = any(kind.concurrency_key for kind in kinds_of(self.claim.queue))
        return _statement(self.limits, has_keys=has_keys, is_one=self.claim.job_id is not None)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the statements."""
        kinds = kinds_of(self.claim.queue)
        return {
            "queue": self.claim.queue,
            "job": self.claim.job_id,
            "kinds": known_kinds(),
            "worker": self.claim.worker,
            "lease": self.claim.lease,
            "lease_time": lease_time(),
            "attempt_seconds": json.dumps(attempt_limits()),
            "key_limits": json.dumps({kind.name: kind.key_limit for kind in kinds if kind.concurrency_key}),
            "fair_window": FAIR_WINDOW,
        }

    def read(self, cursor: Any) -> Job | None:
        """Return the job that the statements have claimed; the cursor is at the result of the first one.

        If the queue has other limits, claim again. Raises UnknownQueue.
        """
        row = cursor.fetchone()
        if row is None:
            raise transitions.unknown_queue(self.claim.queue)
        cursor.nextset()
        if self.limits == Limits(*row):
            return _job(cursor.fetchone())
        _limits[self.claim.queue] = Limits(*row)
        return make(self.claim)


def claim(*, queue: str, worker: str, job_id: int | None = None) -> Job | None:
    """Claim the next due job of `queue` for `worker`; return None if no job may start now.

    The job with the highest priority comes first, then the job that has been due longest. In a fair queue, a job of
    the organization with the fewest running jobs comes first. A job whose concurrency key is used up lets others
    pass. A job whose kind this process does not know waits for a process that knows it, as during a rolling deploy. The
    lease expires JOB_LEASE_SECONDS after the current time of the database. Its fencing token is
    `lease_token` of the returned job. No job may start while the queue is paused, runs as many jobs as its concurrency
    allows, or has used up its rate. With `job_id`, no other job comes into question. Raises UnknownQueue.
    """
    return make(Claim(queue=queue, worker=worker, job_id=job_id))


def make(claim: Claim) -> Job | None:
    """Make the claim. Returns and raises what `claim` does."""
    prepared = claim.prepared()
    with connection.cursor() as cursor:
        cursor.execute(prepared.statement, prepared.parameters)
        return prepared.read(cursor)


def held(claim: Claim) -> Job | None:
    """Return the job that this claim has got, if it was made although its answer was lost."""
    with connection.cursor() as cursor:
        cursor.execute(HELD.format(columns=_columns()), {"queue": claim.queue, "lease": claim.lease})
        return _job(cursor.fetchone())


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


def _statement(limits: Limits, *, has_keys: bool, is_one: bool) -> str:
    next_job = NEXT_JOB.format(
        only=ONLY if is_one else "",
        with_room=WITH_ROOM if has_keys else "",
        fairness="is_fair" if limits.fair else "NOT is_fair",
        concurrency=CONCURRENCY if limits.concurrency else "AND concurrency IS NULL",
        rate=RATE if limits.rate else "AND rate_allowed IS NULL",
        **(FAIR if limits.fair and not is_one else UNFAIR),
    )
    claim = CLAIM_AND_SPEND if limits.rate else CLAIM
    return LOCK_QUEUE + claim.format(next_job=next_job, columns=_columns())


@cache
def _columns() -> str:
    return ", ".join(f"job.{each.column}" for each in Job._meta.concrete_fields)


@cache
def _converters() -> list[tuple[int, Any]]:
    """Return the places of the columns whose values Django converts, and the functions that convert them."""
    fields = enumerate(Job._meta.concrete_fields)
    return [(place, each) for place, field in fields for each in field.get_db_converters(connection)]


def _job(row: tuple[Any, ...] | None) -> Job | None:
    if row is None:
        return None
    values = list(row)
    for place, convert in _converters():
        values[place] = convert(values[place], None, connection)
    return Job.from_db(connection.alias, [each.attname for each in Job._meta.concrete_fields], values)
