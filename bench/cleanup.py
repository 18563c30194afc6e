"""The time of a small job while a clean-up deletes many old jobs."""

from __future__ import annotations

import time

from bench.installation import Installation
from bench.report import Result

JOBS_BEFORE = 200
"""The number of small jobs that are timed before the clean-up begins."""
OLD_JOBS = """
INSERT INTO jobs_job (kind, queue, priority, status, organization_id, arguments, only_behind, trigger, retry_count,
                      round_attempt, max_retries, total, processed, failed, superseded, unchanged, error_traceback,
                      requested_by, reason, cancelled_by, correlation_id, trace_context, worker, claims,
                      created_at, updated_at, run_at, started_at, completed_at)
SELECT 'propagation', 'propagation', 0, 'COMPLETED', 1, '{"enabled": true, "featureFlagName": "bench"}', false,
       'request', 0, 0, 3, 11, 11, 0, 0, 0, '', 'key:bench', '', '', md5(number::text), '', 'host:1:token', 1,
       moment, moment, moment, moment, moment
  FROM generate_series(1, %(rows)s) number, LATERAL (
    SELECT now() - interval '90 days' + number * interval '1 second' AS moment) at
"""
CHANGES_OF_OLD_JOBS = """
INSERT INTO flags_change (number, flag_id, organization_id, enabled, source_id, job_id, requested_by)
SELECT nextval('flags_change_number'), (SELECT min(id) FROM flags_flag), 1, true, 1, id, 'key:bench' FROM jobs_job
 WHERE created_at < now() - interval '31 days'
"""
NEXT_JOB_ID = "SELECT setval(pg_get_serial_sequence('jobs_job', 'id'), max(id)) FROM jobs_job"


def cleanup(installation: Installation, rows: int) -> Result:
    """Time small jobs one after another: first alone, then while `rows` old jobs and their changes are deleted."""
    with installation.worker(concurrency=2):
        installation.create_trees(10)
        installation.flip(1)
        installation.sql(OLD_JOBS, {"rows": rows})
        installation.sql(NEXT_JOB_ID)
        installation.sql(CHANGES_OF_OLD_JOBS)
        for table in ("jobs_job", "flags_change"):
            installation.sql(f"VACUUM (ANALYZE) {table}")
        alone = [installation.flip(1, enabled=number % 2 == 0) for number in range(JOBS_BEFORE)]
        job_id = int(installation.python(REQUEST_CLEANUP))
        began = time.perf_counter()
        beside = []
        while _is_open(installation, job_id):
            beside.append(installation.flip(1, enabled=len(beside) % 2 == 0))
        seconds = time.perf_counter() - began
        (status, deleted), *_ = installation.sql("SELECT status, processed FROM jobs_job WHERE id = %s", [job_id])
    p50, p99 = _percentiles(beside)
    p50_alone, p99_alone = _percentiles(alone)
    return Result(
        f"clean-up of {deleted:,} jobs in {seconds:.0f} s: small job", f"{p50:.0f}/{p99:.0f} ms",
        f"alone: {p50_alone:.0f}/{p99_alone:.0f} ms", p50 / p50_alone, "all deleted, p50 ≤ 2 ×, p99 < 1 s",
        status == "COMPLETED" and deleted >= rows * 0.95 and p50 <= 2 * p50_alone and p99 < 1000,
        {"seconds": seconds, "deleted": deleted, "beside": len(beside), "p50": p50, "p99": p99, "p50_alone": p50_alone,
         "p99_alone": p99_alone, "jobs_per_second": deleted / seconds},
    )  # fmt: skip


REQUEST_CLEANUP = (
    "import django; django.setup(); from jobs.operations import cleanup; print(cleanup.request(by='bench').pk)"
)


def _is_open(installation: Installation, job_id: int) -> bool:
    return installation.sql("SELECT status FROM jobs_job WHERE id = %s", [job_id])[0][0] in {"PENDING", "IN_PROGRESS"}


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000
