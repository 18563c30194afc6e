"""Write the hourly metrics: count how attempts ended in each hour, in the transaction in which an attempt ends."""

from __future__ import annotations

from typing import Any

from django.db import connection

from jobs.counting.models import AttemptOutcome

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds, in seconds, of the buckets of the three TIMES. One more bucket counts longer times."""
SHARDS = 8
"""Number of rows for each hour and KEY, so that processes rarely wait for the same row."""
PROBE_JOB_KIND = "canary"
"""The kind of the probe job (`jobs.metrics.probe_job`), which the hourly metrics do not count."""
BUCKET_ARRAY = """
           CASE WHEN {0} IS NULL THEN none.times
                ELSE none.times[:width_bucket({0}, %(bounds)s::float8[])] || 1::bigint
                     || none.times[width_bucket({0}, %(bounds)s::float8[]) + 2:] END"""
TIMES = ("waiting", "processing", "chain", "backoff")
"""The times of an attempt: due until start, start until end, request until the end of the chain, and the backoff.

Only automatic retries have a backoff, which is the time from the failure before it until the retry was due.
"""
KEY = "queue, kind, outcome, trigger, retry"
ADDED_ARRAYS = ", ".join(
    f"{name}_buckets = (SELECT array_agg(had + more ORDER BY place) FROM "  # noqa: S608 - no input in it
    f"unnest(total.{name}_buckets, excluded.{name}_buckets) WITH ORDINALITY AS pair(had, more, place))"
    for name in TIMES
)
ONE_MORE = """CASE WHEN array_position(excluded.{0}, 1) IS NULL THEN total.{0}
            ELSE total.{0}[:array_position(excluded.{0}, 1) - 1] || total.{0}[array_position(excluded.{0}, 1)] + 1
                 || total.{0}[array_position(excluded.{0}, 1) + 1:] END"""
"""Adds an array that has one 1 at most, which PostgreSQL does much faster than ADDED_ARRAYS."""
SECOND_COLUMNS = ", ".join(f"{name}_seconds" for name in TIMES)
BUCKET_COLUMNS = ", ".join(f"{name}_buckets" for name in TIMES)
NONE = f"(SELECT array_fill(0::bigint, ARRAY[{len(BOUNDS) + 1}]) AS times) none"
"""A table of one row: an array without times."""
COUNT = f"""
INSERT INTO jobs_jobtally AS total
       (hour, shard, {KEY}, count, rescued, retries, organizations, failed_organizations,
        superseded_organizations, chains, {SECOND_COLUMNS}, {BUCKET_COLUMNS})
SELECT date_trunc('hour', statement_timestamp(), 'UTC'), pg_backend_pid() %% {SHARDS}, job.queue, job.kind, %(outcome)s,
       job.trigger, job.round_attempt, 1, %(rescued)s, (job.parent_job_id IS NOT NULL)::int, job.processed, job.failed,
       job.superseded, %(chains)s,
       {", ".join(f"COALESCE(time.{name}, 0)" for name in TIMES)},
       {", ".join(BUCKET_ARRAY.format("time." + name) for name in TIMES)}
  FROM {{job}}
  JOIN {{root}}
 CROSS JOIN {NONE}
 CROSS JOIN LATERAL (
    SELECT CASE WHEN job.started_at < job.run_at THEN 0  -- the job was released and waits again
                ELSE extract(epoch FROM job.started_at - job.run_at) END::float8 AS waiting,
           extract(epoch FROM job.completed_at - job.started_at)::float8 AS processing,
           CASE WHEN %(chains)s = 1 THEN extract(epoch FROM job.completed_at - root.created_at)::float8 END AS chain,
           CASE WHEN job.trigger = 'automatic' AND job.claims <= 1  -- a release sets another due time
                THEN extract(epoch FROM job.run_at - job.created_at)::float8 END AS backoff
    ) time
 WHERE job.kind <> '{PROBE_JOB_KIND}'
    ON CONFLICT (hour, {KEY}, shard) DO UPDATE
   SET count = total.count + excluded.count, rescued = total.rescued + excluded.rescued,
       retries = total.retries + excluded.retries,
       organizations = total.organizations + excluded.organizations,
       failed_organizations = total.failed_organizations + excluded.failed_organizations,
       superseded_organizations = total.superseded_organizations + excluded.superseded_organizations,
       chains = total.chains + excluded.chains,
       {", ".join(f"{name}_seconds = total.{name}_seconds + excluded.{name}_seconds" for name in TIMES)},
       {", ".join(f"{name}_buckets = {ONE_MORE.format(f'{name}_buckets')}" for name in TIMES)}
"""  # noqa: S608 - no input in it
ADD = COUNT.format(
    job="jobs_job job", root="jobs_job root ON root.id = COALESCE(job.parent_job_id, job.id) AND job.id = %(job)s"
)
READ_COLUMNS = (
    "queue, kind, trigger, round_attempt, parent_job_id, processed, failed, superseded, claims, created_at, run_at, "
    "started_at, completed_at"
)
"""The columns of a job that these statements read."""
ADD_ONLY_ATTEMPT = COUNT.format(job="ended job", root="LATERAL (SELECT job.created_at) root ON TRUE")
"""Counts the rows of `ended`, an earlier part of the same statement: attempts that are the only ones of their chain."""


def parameters(outcome: AttemptOutcome, *, ends_chain: bool, rescued: bool = False) -> dict[str, Any]:
    """Return the parameters of the statements, except for the job."""
    return {
        "outcome": outcome.value,
        "chains": int(ends_chain),
        "rescued": int(rescued),
        "bounds": list(BOUNDS),
    }


def add(job_id: int, outcome: AttemptOutcome, *, ends_chain: bool, rescued: bool = False) -> None:
    """Count an attempt that has just ended, in the caller's transaction.

    `ends_chain` says whether no automatic retry follows, and `rescued` whether the rescuer ended the attempt. End the
    transaction soon, because other processes wait for the row.
    """
    with connection.cursor() as cursor:
        cursor.execute(ADD, {"job": job_id} | parameters(outcome, ends_chain=ends_chain, rescued=rescued))


def add_manual_retry(job_id: int) -> None:
    """Count that a person started another round. `job_id` is the first attempt of the round, which has not run yet."""
    add(job_id, AttemptOutcome.MANUAL_RETRY, ends_chain=False)


ADD_REOPENED = f"""
INSERT INTO jobs_jobtally AS total
       (hour, shard, {KEY}, reopened, {BUCKET_COLUMNS})
SELECT date_trunc('hour', completed_at, 'UTC'), pg_backend_pid() %% {SHARDS}, queue, kind, lower(ended_as), trigger,
       round_attempt, 1, {", ".join("none.times" for _ in TIMES)}
  FROM jobs_job CROSS JOIN {NONE}
 WHERE id = %(job)s AND completed_at IS NOT NULL AND kind <> '{PROBE_JOB_KIND}'
    ON CONFLICT (hour, {KEY}, shard) DO UPDATE SET reopened = total.reopened + 1
"""  # noqa: S608 - no input in it


def add_reopened(job_id: int) -> None:
    """Count that a person has reopened the chain that ended with this attempt, by starting another round.

    The row of the hour in which the chain ended gets this count. So the rates of a day count each chain once only, and
    subtract only ends that belong to the same day. The count of the end stays, because counters must not decrease.
    """
    with connection.cursor() as cursor:
        cursor.execute(ADD_REOPENED, {"job": job_id})


HOURS_KEPT = 48
"""How long the metrics keep a row for each hour. Older hours are one row for each day in UTC."""
DAYS_KEPT = 62
"""How long the metrics keep a row for each day. Older days are one row for each month in UTC."""
SUMS = (
    "count", "rescued", "retries", "organizations", "failed_organizations", "superseded_organizations", "chains",
    "reopened",
)  # fmt: skip
SECONDS = tuple(f"{name}_seconds" for name in TIMES)
ARRAYS = tuple(f"{name}_buckets" for name in TIMES)
BUCKET_SUMS = ", ".join(f"sum({name}_place) AS {name}" for name in TIMES)
MERGE_OLD_ROWS = f"""
WITH old AS (
    DELETE FROM jobs_jobtally
     WHERE hour < statement_timestamp() - %(age)s::interval
       AND (shard <> 0 OR hour <> date_trunc(%(unit)s, hour, 'UTC')) RETURNING *),
sums AS (
    SELECT date_trunc(%(unit)s, hour, 'UTC') AS start, {KEY},
           {", ".join(f"sum({name}) AS {name}" for name in SUMS + SECONDS)}
      FROM old GROUP BY start, {KEY}),
places AS (
    SELECT date_trunc(%(unit)s, hour, 'UTC') AS start, {KEY}, place, {BUCKET_SUMS}
      FROM old, unnest({", ".join(ARRAYS)}) WITH ORDINALITY AS u({", ".join(f"{name}_place" for name in TIMES)}, place)
     GROUP BY start, {KEY}, place),
arrays AS (
    SELECT start, {KEY}, {", ".join(f"array_agg({name}::bigint ORDER BY place) AS {name}_buckets" for name in TIMES)}
      FROM places GROUP BY start, {KEY})
INSERT INTO jobs_jobtally AS total (hour, shard, {KEY}, {", ".join(SUMS + SECONDS + ARRAYS)})
SELECT start, 0, {KEY}, {", ".join(SUMS + SECONDS + ARRAYS)} FROM sums JOIN arrays USING (start, {KEY})
    ON CONFLICT (hour, {KEY}, shard) DO UPDATE
   SET {", ".join(f"{name} = total.{name} + excluded.{name}" for name in SUMS + SECONDS)},
       {ADDED_ARRAYS}
"""  # noqa: S608 - no input in it


def merge_old_hours() -> None:
    """Merge rows older than HOURS_KEPT into one row for each day and KEY, and those older than DAYS_KEPT by month.

    All sums stay the same. So the number of rows stays small, and metrics that add up all rows stay fast for years.
    """
    with connection.cursor() as cursor:
        cursor.execute(MERGE_OLD_ROWS, {"unit": "day", "age": f"{HOURS_KEPT} hours"})
        cursor.execute(MERGE_OLD_ROWS, {"unit": "month", "age": f"{DAYS_KEPT} days"})
