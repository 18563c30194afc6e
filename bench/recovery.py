"""How soon a job continues after its worker was killed, with the default lease and interval of the rescuer."""

from __future__ import annotations

import time

import psutil

from bench.installation import Installation
from bench.report import Result

LEASE_AND_SWEEP_SECONDS = 35.0
"""The sum of the defaults of JOB_LEASE_SECONDS and JOB_SWEEP_SECONDS."""
KILLS = 3
ORGANIZATIONS = 2_000
SLOW_DOWN = """
CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER take_time AFTER INSERT OR UPDATE ON flags_flagstate
    FOR EACH STATEMENT EXECUTE FUNCTION take_time()
"""
SPEED_UP = "DROP TRIGGER take_time ON flags_flagstate"
RETRY_STARTED = "SELECT count(*) FROM jobs_job WHERE parent_job_id = %s AND started_at IS NOT NULL"
COMPLETED_ATTEMPTS = "SELECT count(*) FROM jobs_job WHERE (id = %s OR parent_job_id = %s) AND status = 'COMPLETED'"
WRONG_STATES = "SELECT count(*) FROM flags_flagstate WHERE enabled <> %s"


def recovery(installation: Installation, rows: int) -> Result:
    """Kill workers (SIGKILL) during a job while another worker runs, and measure the seconds until the retry starts."""
    seconds = [_killed_once(installation, enabled=number % 2 == 0) for number in range(KILLS)]
    slowest = max(seconds)
    return Result(
        f"a killed worker's job goes on, slowest of {KILLS}", f"{slowest:.1f} s", "lease 30 s + sweep 5 s",
        slowest / LEASE_AND_SWEEP_SECONDS, "≤ lease + sweep", slowest <= LEASE_AND_SWEEP_SECONDS, {"seconds": seconds},
    )  # fmt: skip


def _killed_once(installation: Installation, *, enabled: bool) -> float:
    with installation.worker() as first, installation.worker() as second:
        (root,) = installation.create_trees(ORGANIZATIONS)
        installation.sql(SLOW_DOWN)
        job_id = installation.set_flag(root, enabled)
        _until(installation, "SELECT count(*) FROM jobs_job WHERE id = %s AND processed > 0", job_id)
        ((name,),) = installation.sql("SELECT worker FROM jobs_job WHERE id = %s", [job_id])
        pid = int(name.split(":")[1])
        holder = next(worker for worker in (first, second) if pid in {child.pid for child in _children(worker.pid)})
        installation.kill(holder)
        began = time.perf_counter()
        _until(installation, RETRY_STARTED, job_id)
        seconds = time.perf_counter() - began
        installation.sql(SPEED_UP)
        _until(installation, COMPLETED_ATTEMPTS, job_id, job_id)
    assert installation.sql(WRONG_STATES, [enabled]) == [(0,)]
    return seconds


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _until(installation: Installation, query: str, *parameters: object) -> None:
    """Wait until the query returns a count above 0, at most 90 seconds."""
    deadline = time.perf_counter() + 90
    while not installation.sql(query, parameters)[0][0]:
        if time.perf_counter() > deadline:
            raise SystemExit(f"This count is still 0 after 90 seconds: {query} with {parameters}")
        time.sleep(0.05)
