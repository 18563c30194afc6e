"""Figures about the engine for metrics: counters since the beginning, and how things stand now.

Counters come from the tallies, which outlive the jobs, and from what running jobs have done so far; both are read in
one statement, thus from one moment, so that no sum ever goes back. What they cost grows with what is open, not with
what has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from jobs.counting.hourly_metrics import BOUNDS, TIMES
from jobs.engine.worker_registry import ALIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took: the sum in seconds, and how many by `jobs.counting.hourly_metrics.BOUNDS`."""

    seconds: float
    buckets: Sequence[int]


@dataclass(frozen=True, slots=True)
class Ended:
    """Attempts of one queue, kind and outcome since the beginning."""

    queue: str
    kind: str
    outcome: str
    count: int
    rescued: int
    chains: int
    waiting: Times
    processing: Times
    chain: Times


@dataclass(frozen=True, slots=True)
class Organizations:
    """How many organizations the jobs of one queue and kind have written since the beginning, open jobs included."""

    queue: str
    kind: str
    written: int
    failed: int
    superseded: int


@dataclass(frozen=True, slots=True)
class QueueNow:
    """What stands in a queue; `oldest` is for how many seconds the first that is due has waited."""

    queue: str
    is_paused: bool
    due: int
    later: int
    running: int
    oldest: float


@dataclass(frozen=True, slots=True)
class WorkersNow:
    """Workers that are alive, their slots, and how many of these are at work."""

    workers: int
    slots: int
    busy: int


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """All of it, of one moment."""

    ended: list[Ended] = field(default_factory=list)
    organizations: list[Organizations] = field(default_factory=list)
    queues: list[QueueNow] = field(default_factory=list)
    workers: WorkersNow = field(default_factory=lambda: WorkersNow(0, 0, 0))
    engine: dict[str, int] = field(default_factory=dict)
    last_sweep: float | None = None


PLACES = range(1, len(BOUNDS) + 2)
BUCKETS = ", ".join(  # place by place: far quicker than unnest
    f"ARRAY[{', '.join(f'sum({name}_buckets[{place}])' for place in PLACES)}] AS {name}" for name in TIMES
)
FIGURES = f"""
WITH ended AS (
    SELECT queue, kind, outcome, sum(count) AS count, sum(rescued) AS rescued, sum(chains) AS chains,
           sum(organizations) AS organizations, sum(failed_organizations) AS failed,
           sum(superseded_organizations) AS superseded, {BUCKETS},
           {", ".join(f"sum({name}_seconds) AS {name}_seconds" for name in TIMES)}
      FROM jobs_jobtally GROUP BY queue, kind, outcome),
waiting AS (  -- index job_due alone: what waits, however many have ended
    SELECT queue, count(*) FILTER (WHERE run_at <= statement_timestamp()) AS due,
           count(*) FILTER (WHERE run_at > statement_timestamp()) AS later, min(run_at) AS oldest
      FROM jobs_job WHERE status = 'PENDING' GROUP BY queue),
handed_back AS (  -- index job_handed_back: waiting again, after a part of the work
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
     WHERE seen_at >= statement_timestamp() - {ALIVE_SECONDS} * interval '1 second')
SELECT json_build_object(
    'ended', (SELECT json_agg(row_to_json(line)) FROM ended line),
    'organizations', (SELECT json_agg(row_to_json(line)) FROM organizations line),
    'queues', (SELECT json_agg(row_to_json(line)) FROM queues line),
    'workers', (SELECT row_to_json(line) FROM workers line),
    'busy', (SELECT COALESCE(sum(running), 0) FROM running),
    'engine', (SELECT json_object_agg(name, value) FROM jobs_enginecount),
    'last_sweep', (SELECT extract(epoch FROM statement_timestamp() - changed_at)
                     FROM jobs_enginecount WHERE name = 'sweeps')
)
"""  # noqa: S608 - no input in it


COUNTED = ("queue", "kind", "outcome", "count", "rescued", "chains")


def read() -> EngineMetrics:
    """All figures, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES)
        found: dict[str, Any] = cursor.fetchone()[0]
    return EngineMetrics(
        ended=[_ended(line) for line in found["ended"] or ()],
        organizations=[Organizations(**line) for line in found["organizations"] or ()],
        queues=[
            QueueNow(line["name"], line["paused"], line["due"], line["later"], line["running"], line["oldest"])
            for line in found["queues"] or ()
        ],
        workers=WorkersNow(found["workers"]["workers"], found["workers"]["slots"], found["busy"]),
        engine=found["engine"] or {},
        last_sweep=found["last_sweep"],
    )


def _ended(line: dict[str, Any]) -> Ended:
    times = {name: Times(line[f"{name}_seconds"], line[name]) for name in TIMES}
    waiting, processing, chain = (times[name] for name in ("waiting", "processing", "chain"))
    queue, kind, outcome, count, rescued, chains = (line[name] for name in COUNTED)
    return Ended(queue, kind, outcome, count, rescued, chains, waiting, processing, chain)
