"""Read the figures of the engine for metrics: counters since the installation, and the present queues and workers.

Counters add up the hourly metrics, which stay when jobs are deleted, and the progress of open jobs. One statement reads
both at the same moment, so that no counter ever decreases. It does not read ended jobs, so that its cost does not grow
with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from jobs.counting.counters import RESCUER_RUNS
from jobs.counting.hourly_metrics import BOUNDS, TIMES
from jobs.engine.worker_registry import ALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Times:
    """A histogram of times: the sum in seconds, and the counts by `jobs.counting.hourly_metrics.BOUNDS`."""

    seconds: float
    buckets: Sequence[int]


@dataclass(frozen=True, slots=True)
class EndedAttempts:
    """The ended attempts of one queue, kind and outcome since the installation."""

    queue: str
    kind: str
    outcome: str
    count: int
    rescued: int
    chains: int
    reopened: int
    """How many of these chains a person has retried since."""
    waiting: Times
    processing: Times
    chain: Times
    backoff: Times


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """How many attempts ended with one outcome since the installation, of one queue, kind, trigger and retry.

    `trigger` is empty for attempts that an earlier version counted. `retry` is the number of the automatic retry in its
    round, or 0.
    """

    queue: str
    kind: str
    outcome: str
    trigger: str
    retry: int
    count: int


@dataclass(frozen=True, slots=True)
class OrganizationCounts:
    """How many organizations the jobs of one queue and kind have processed since the installation, with open jobs."""

    queue: str
    kind: str
    written: int
    failed: int
    superseded: int


@dataclass(frozen=True, slots=True)
class QueueNow:
    """The open jobs of a queue: jobs that are due, jobs that are due later, and jobs that run."""

    queue: str
    is_paused: bool
    due: int
    later: int
    running: int
    oldest: float
    """For how many seconds the oldest due job has waited."""


@dataclass(frozen=True, slots=True)
class WorkersNow:
    """The number of workers that are alive, of their processes (slots), and of jobs that run."""

    workers: int
    slots: int
    busy: int


@dataclass(frozen=True, slots=True)
class BatchesNow:
    """The number of open batches, and for how many seconds the oldest of them has been open."""

    count: int = 0
    oldest: float = 0.0


@dataclass(frozen=True, slots=True)
class DeliveriesNow:
    """The deliveries of a channel that gather events, that wait or are tried again, and that stay in the outbox."""

    channel: str
    gathering: int
    pending: int
    outbox: int
    oldest: float
    """For how many seconds the oldest pending delivery has waited since its creation."""


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """All figures of the engine at one moment."""

    ended: list[EndedAttempts] = field(default_factory=list)
    attempts: list[AttemptCount] = field(default_factory=list)
    organizations: list[OrganizationCounts] = field(default_factory=list)
    queues: list[QueueNow] = field(default_factory=list)
    workers: WorkersNow = field(default_factory=lambda: WorkersNow(0, 0, 0))
    batches: BatchesNow = BatchesNow()
    deliveries: list[DeliveriesNow] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    """The counters of `jobs.counting.counters`, by name."""
    seconds_since_rescuer_run: float | None = None


BUCKET_NUMBERS = range(1, len(BOUNDS) + 2)
BUCKETS = ", ".join(  # one sum for each bucket is much faster than unnest
    f"ARRAY[{', '.join(f'sum({name}_buckets[{number}])' for number in BUCKET_NUMBERS)}] AS {name}" for name in TIMES
)
FIGURES = f"""
WITH ended AS (
    SELECT queue, kind, outcome, sum(count) AS count, sum(rescued) AS rescued, sum(chains) AS chains,
           sum(reopened) AS reopened,
           sum(organizations) AS organizations, sum(failed_organizations) AS failed,
           sum(superseded_organizations) AS superseded, {BUCKETS},
           {", ".join(f"sum({name}_seconds) AS {name}_seconds" for name in TIMES)}
      FROM jobs_jobtally GROUP BY queue, kind, outcome),
attempts AS (
    SELECT queue, kind, outcome, trigger, retry, sum(count) AS count
      FROM jobs_jobtally GROUP BY queue, kind, outcome, trigger, retry HAVING sum(count) > 0),
waiting AS (  -- index job_due
    SELECT queue, count(*) FILTER (WHERE run_at <= statement_timestamp()) AS due,
           count(*) FILTER (WHERE run_at > statement_timestamp()) AS later, min(run_at) AS oldest
      FROM jobs_job WHERE status = 'PENDING' GROUP BY queue),
handed_back AS (  -- index job_handed_back: released jobs that wait again
    SELECT queue, kind, sum(processed) AS written, sum(failed) AS failed, sum(superseded) AS superseded
      FROM jobs_job WHERE status = 'PENDING' AND claims > 0 GROUP BY queue, kind),
running AS (  -- index job_running
    SELECT queue, kind, count(*) AS running, sum(processed) AS written, sum(failed) AS failed,
           sum(superseded) AS superseded
      FROM jobs_job WHERE status = 'IN_PROGRESS' GROUP BY queue, kind),
organizations AS (
    SELECT queue, kind, sum(written) AS written, sum(failed) AS failed, sum(superseded) AS superseded FROM (
        SELECT queue, kind, organizations AS written, failed, superseded FROM ended
         UNION ALL SELECT queue, kind, written, failed, superseded FROM handed_back
         UNION ALL SELECT queue, kind, written, failed, superseded FROM running) part GROUP BY queue, kind),
queues AS (
    SELECT queue.name, queue.paused_at IS NOT NULL AS paused,
           COALESCE(waiting.due, 0) AS due, COALESCE(waiting.later, 0) AS later,
           COALESCE((SELECT sum(running) FROM running WHERE running.queue = queue.name), 0) AS running,
           GREATEST(0, extract(epoch FROM statement_timestamp() - waiting.oldest)) AS oldest
      FROM jobs_queue queue LEFT JOIN waiting ON waiting.queue = queue.name),
workers AS (
    SELECT count(*) AS workers, COALESCE(sum(concurrency), 0) AS slots FROM jobs_worker
     WHERE seen_at >= statement_timestamp() - {ALIVE_SECONDS} * interval '1 second'),
batches AS (  -- index open_batch
    SELECT count(*) AS count, COALESCE(extract(epoch FROM statement_timestamp() - min(created_at)), 0) AS oldest
      FROM jobs_batch WHERE finished_at IS NULL),
deliveries AS (  -- index delivery_by_state
    SELECT channel, count(*) FILTER (WHERE state = 'GATHERING') AS gathering,
           count(*) FILTER (WHERE state = 'PENDING') AS pending, count(*) FILTER (WHERE state = 'OUTBOX') AS outbox,
           COALESCE(extract(epoch FROM statement_timestamp()
                                       - min(created_at) FILTER (WHERE state = 'PENDING')), 0) AS oldest
      FROM jobs_delivery WHERE state IN ('GATHERING', 'PENDING', 'OUTBOX') GROUP BY channel)
SELECT json_build_object(
    'ended', (SELECT json_agg(row_to_json(entry)) FROM ended entry),
    'attempts', (SELECT json_agg(row_to_json(entry)) FROM attempts entry),
    'organizations', (SELECT json_agg(row_to_json(entry)) FROM organizations entry),
    'queues', (SELECT json_agg(row_to_json(entry)) FROM queues entry),
    'workers', (SELECT row_to_json(entry) FROM workers entry),
    'batches', (SELECT row_to_json(entry) FROM batches entry),
    'deliveries', (SELECT json_agg(row_to_json(entry)) FROM deliveries entry),
    'busy', (SELECT COALESCE(sum(running), 0) FROM running),
    'counters', (SELECT json_object_agg(name, value) FROM jobs_enginecount),
    'seconds_since_rescuer_run', (SELECT extract(epoch FROM statement_timestamp() - changed_at)
                                    FROM jobs_enginecount WHERE name = '{RESCUER_RUNS}')
)
"""  # noqa: S608 - no input in it


COUNTED_COLUMNS = ("queue", "kind", "outcome", "count", "rescued", "chains", "reopened")


def read() -> EngineMetrics:
    """Read all figures by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES)
        figures: dict[str, Any] = cursor.fetchone()[0]
    return EngineMetrics(
        ended=[_ended(row) for row in figures["ended"] or ()],
        attempts=[AttemptCount(**row) for row in figures["attempts"] or ()],
        organizations=[OrganizationCounts(**row) for row in figures["organizations"] or ()],
        queues=[
            QueueNow(row["name"], row["paused"], row["due"], row["later"], row["running"], row["oldest"])
            for row in figures["queues"] or ()
        ],
        workers=WorkersNow(figures["workers"]["workers"], figures["workers"]["slots"], figures["busy"]),
        batches=BatchesNow(**figures["batches"]),
        deliveries=[DeliveriesNow(**row) for row in figures["deliveries"] or ()],
        counters=figures["counters"] or {},
        seconds_since_rescuer_run=figures["seconds_since_rescuer_run"],
    )


def _ended(row: dict[str, Any]) -> EndedAttempts:
    times: dict[str, Any] = {name: Times(row[f"{name}_seconds"], row[name]) for name in TIMES}
    return EndedAttempts(**{name: row[name] for name in COUNTED_COLUMNS}, **times)
