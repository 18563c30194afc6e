"""How soon a job goes on whose worker was killed, with the lease and the sweep that everybody has by default."""

from __future__ import annotations

import time

import psutil

from bench.installation import Installation
from bench.report import Result

LEASE_AND_SWEEP = 35.0
"""Seconds: JOB_LEASE_SECONDS and JOB_SWEEP_SECONDS, by default."""
KILLS = 3
ORGANIZATIONS = 2_000
SLOW_DOWN = """
CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER take_time AFTER INSERT OR UPDATE ON flags_flagstate
    FOR EACH STATEMENT EXECUTE FUNCTION take_time()
"""
SPEED_UP = "DROP TRIGGER take_time ON flags_flagstate"
GOES_ON = "SELECT count(*) FROM jobs_job WHERE parent_job_id = %s AND started_at IS NOT NULL"
ENDED = "SELECT count(*) FROM jobs_job WHERE (id = %s OR parent_job_id = %s) AND status = 'COMPLETED'"
WRONG = "SELECT count(*) FROM flags_flagstate WHERE enabled <> %s"


def recovery(installation: Installation, rows: int) -> Result:
    """Workers killed (SIGKILL) in the middle of a job while another one is there: seconds until the retry has begun."""
    seconds = [_killed_once(installation, enabled=number % 2 == 0) for number in range(KILLS)]
    slowest = max(seconds)
    return Result(
        f"a killed worker's job goes on, slowest of {KILLS}", f"{slowest:.1f} s", "lease 30 s + sweep 5 s",
        slowest / LEASE_AND_SWEEP, "≤ lease + sweep", slowest <= LEASE_AND_SWEEP, {"seconds": seconds},
    )  # fmt: skip


def _killed_once(installation: Installation, *, enabled: bool) -> float:
    with installation.worker() as one, installation.worker() as other:
        (root,) = installation.plant(ORGANIZATIONS)
        installation.sql(SLOW_DOWN)
        job_id = installation.ask(root, enabled)
        _until(installation, "SELECT count(*) FROM jobs_job WHERE id = %s AND processed > 0", job_id)
        ((name,),) = installation.sql("SELECT worker FROM jobs_job WHERE id = %s", [job_id])
        holder = int(name.split(":")[1])
        doomed = next(worker for worker in (one, other) if holder in {child.pid for child in _children(worker.pid)})
        installation.kill(doomed)
        began = time.perf_counter()
        _until(installation, GOES_ON, job_id)
        seconds = time.perf_counter() - began
        installation.sql(SPEED_UP)
        _until(installation, ENDED, job_id, job_id)
    assert installation.sql(WRONG, [enabled]) == [(0,)]
    return seconds


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _until(installation: Installation, question: str, *parameters: object) -> None:
    """Wait until a count is above nothing, a minute and a half at most."""
    deadline = time.perf_counter() + 90
    while not installation.sql(question, parameters)[0][0]:
        if time.perf_counter() > deadline:
            raise SystemExit(f"It did not come about: {question} with {parameters}")
        time.sleep(0.05)
