"""The ten statistics side by side against one after another, and the recalculation of all flag states."""

from __future__ import annotations

import json
import time

from bench.installation import Installation
from bench.report import Result

FLAGS = 10
"""Flags with a value for each organization."""
MORE_FLAGS = """
INSERT INTO flags_flag (key, salt, description, created_by)
SELECT 'statistics-' || n, 'salt', '', '' FROM generate_series(1, %s) n ON CONFLICT DO NOTHING
"""
CHANGES = """
INSERT INTO flags_change (number, flag_id, organization_id, enabled, source_id, requested_by)
SELECT nextval('flags_change_number'), flag.id, 1, flag.id % 2 = 0, 1, 'key:bench'
  FROM flags_flag flag WHERE flag.key LIKE 'statistics-%'
"""
STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization.id, change.flag_id, change.enabled, 1, change.number, now()
  FROM orgs_organization organization CROSS JOIN flags_change change ORDER BY 1, 2
"""
OWN_VALUES = """
WITH changed AS (
    INSERT INTO flags_change (number, flag_id, organization_id, enabled, source_id, requested_by)
    SELECT nextval('flags_change_number'), flag.id, organization.id, true, organization.id,
           'key:bench ' || organization.id % 50
      FROM orgs_organization organization JOIN flags_flag flag ON flag.key = 'statistics-1'
    RETURNING organization_id, flag_id, number)
UPDATE flags_flagstate state SET source_id = state.organization_id, change_number = changed.number, enabled = true
  FROM changed WHERE state.organization_id = changed.organization_id AND state.flag_id = changed.flag_id
"""
SETTINGS = """
INSERT INTO flags_flagsetting (organization_id, flag_id, number, kind, enabled, requested_by, reason)
SELECT DISTINCT ON (organization_id, flag_id) organization_id, flag_id, number, 'set', enabled, requested_by, ''
  FROM flags_change ORDER BY organization_id, flag_id, number DESC
"""
USAGE = """
INSERT INTO flags_flaguseday (day, organization_id, flag_id, evaluations)
SELECT current_date - age, organization.id, 0, 10
  FROM generate_series(0, 9) age CROSS JOIN orgs_organization organization ON CONFLICT DO NOTHING
"""
JOBS = """
INSERT INTO jobs_job (kind, queue, status, ended_as, total, started_at, completed_at)
SELECT 'propagation', 'propagation', 'COMPLETED', 'COMPLETED', n, now() - interval '1 minute', now()
  FROM generate_series(1, 100000) n
"""
START = (
    "import django; django.setup(); from flags.statistics import computation; "
    "print(computation.start(by='bench').batch.pk)"
)
ENDED = """
SELECT outcome, (SELECT count(*) FROM jobs_job WHERE batch_id = batch.id AND completed_at IS NOT NULL)
  FROM jobs_batch batch WHERE id = %s
"""
EACH = "SELECT name, seconds FROM flags_statistic ORDER BY seconds DESC"
RECALCULATE = (
    "import django; django.setup(); from jobs.operations.enqueue import enqueue; "
    "print(enqueue(kind='recalculation', by='bench').job.pk)"
)
CAPPED_ROWS = 100_000


def _fill(installation: Installation, rows: int) -> int:
    """Create a tree with some flags, own values, usage and ended jobs; returns the number of organizations."""
    installation.create_trees(min(rows, CAPPED_ROWS))
    installation.sql(MORE_FLAGS, [FLAGS])
    for statement in (CHANGES, STATES, OWN_VALUES, SETTINGS, USAGE, JOBS):
        installation.sql(statement)
    for table in ("flags_flagstate", "flags_change", "flags_flagsetting", "flags_flaguseday", "jobs_job"):
        installation.sql(f"VACUUM (ANALYZE) {table}")
    return int(installation.sql("SELECT count(*) FROM orgs_organization")[0][0])


def _compute(installation: Installation, concurrency: int) -> float:
    """Compute the statistics with a new worker; returns the seconds from the request to the end of the batch."""
    with installation.worker(concurrency=concurrency, keep=True):
        warm_up = installation.python(START)  # the worker has started when it has ended
        _wait(installation, int(warm_up))
        began = time.perf_counter()
        batch = int(installation.python(START))
        _wait(installation, batch)
        return time.perf_counter() - began


def _wait(installation: Installation, batch: int) -> None:
    installation.until(lambda found: bool(found[0][0]), ENDED, [batch])
    outcome = installation.sql(ENDED, [batch])[0][0]
    assert outcome == "SUCCEEDED", outcome


def statistics(installation: Installation, rows: int) -> Result:
    """Compute the ten statistics with two jobs at a time, and with one."""
    count = _fill(installation, rows)
    alone, beside = _compute(installation, 1), _compute(installation, 2)
    each = dict(installation.sql(EACH))
    slowest = next(iter(each))
    return Result(
        f"ten statistics of {count:,} organizations, two at a time", f"{beside:.1f} s",
        f"one after another: {alone:.1f} s", beside / alone, "< 1", beside < alone,
        {"beside": beside, "alone": alone, "slowest": slowest, "each": json.loads(json.dumps(each))},
    )  # fmt: skip


def recalculation(installation: Installation, rows: int) -> Result:
    """Compare all flag states with the changes. The yardstick is a statement that reads them once."""
    count = _fill(installation, rows)
    states = int(installation.sql("SELECT count(*) FROM flags_flagstate")[0][0])
    once = installation.seconds("SELECT count(*), sum(change_number), bool_and(enabled) FROM flags_flagstate")
    with installation.worker(keep=True):
        _wait(installation, int(installation.python(START)))
        began = time.perf_counter()
        job = int(installation.python(RECALCULATE))
        installation.wait(job)
        seconds = time.perf_counter() - began
    result = installation.sql("SELECT result FROM jobs_job WHERE id = %s", [job])[0][0]
    rate = states / seconds
    return Result(
        f"recalculation of {states:,} flag states of {count:,} organizations",
        f"{seconds:.0f} s, {rate:,.0f} states/s", f"reading them once: {once:.1f} s", seconds / once,
        "no drift, ≥ 5,000 states/s", result["mended"] == 0 and not any(result["totals"].values()) and rate >= 5_000,
        {"seconds": seconds, "states": states, "totals": result["totals"]},
    )  # fmt: skip
