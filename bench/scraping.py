"""The time of a scrape of /metrics with many jobs and a year of hourly metrics."""

from __future__ import annotations

import time

from bench.cleanup import OLD_JOBS
from bench.installation import Installation
from bench.report import Result

SCRAPES = 20
WAITING_JOBS = """
INSERT INTO jobs_job (kind, queue, priority, status, organization_id, arguments, only_behind, trigger, retry_count,
                      round_attempt, max_retries, processed, failed, superseded, unchanged, error_traceback,
                      requested_by, reason, cancelled_by, correlation_id, trace_context, worker, claims)
SELECT 'propagation', 'propagation', 0, 'PENDING', 1, '{}', false, 'request', 0, 0, 3, 0, 0, 0, 0, '', '', '', '', '',
       '', '', 0 FROM generate_series(1, %(rows)s)
"""
HOURLY_METRICS = """
INSERT INTO jobs_jobtally (hour, shard, queue, kind, outcome, count, rescued, retries, organizations,
                           failed_organizations, superseded_organizations, chains, waiting_seconds, waiting_buckets,
                           processing_seconds, processing_buckets, chain_seconds, chain_buckets)
SELECT hour, shard, 'propagation', kind, outcome, 1, 0, 0, 1, 0, 0, 1, 1, spread, 1, spread, 1, spread
  FROM (SELECT date_trunc('hour', now()) - number * interval '1 hour' AS hour, shard
          FROM generate_series(1, 72) number, generate_series(0, 7) shard  -- before the daily clean-up sums them up
         UNION ALL
        SELECT date_trunc('month', now()) - number * interval '1 month', 0 FROM generate_series(1, 12) number) hours,
       unnest(ARRAY['propagation', 'inheritance', 'cleanup']) kind,
       unnest(ARRAY['completed', 'failed', 'retried', 'cancelled', 'manual_retry']) outcome,
       (SELECT array_fill(1::bigint, ARRAY[14]) AS spread) spread
    ON CONFLICT DO NOTHING
"""


def scraping(installation: Installation, rows: int) -> Result:
    """Measure scrapes one after another. No worker runs."""
    installation.sql("TRUNCATE jobs_job, jobs_jobfailure, jobs_deedtarget, flags_change, jobs_jobtally CASCADE")
    installation.sql(OLD_JOBS, {"rows": rows})
    installation.sql(WAITING_JOBS, {"rows": rows // 10})
    installation.sql(HOURLY_METRICS)
    for table in ("jobs_job", "jobs_jobtally"):
        installation.sql(f"VACUUM (ANALYZE) {table}")
    times = []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        answer = installation.http.get("/metrics")
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    median, longest = sorted(times)[SCRAPES // 2], max(times)
    return Result(
        f"a scrape with {rows:,} jobs", f"{median:.0f} ms, longest {longest:.0f} ms", f"{len(answer.content):,} bytes",
        median / 1000, "< 1 s", median < 1000, {"milliseconds": times},
    )  # fmt: skip
