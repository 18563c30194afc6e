"""Jobs that do nothing: how many jobs the engine creates and ends in a second, against procrastinate in the same run.

Both have two slots. Flagsite's figures include what procrastinate does not promise: a fencing token for each attempt,
retries as rows of their own, limits in the claim, hourly metrics, and a log line for each step.
"""

from __future__ import annotations

import json

from bench import peer_programs
from bench.installation import Installation
from bench.report import Result

KIND = "nothing"
JOBS = 2_000
SLOTS = 2
CREATE = f"""
import django, json, time; django.setup()
from bench.empty_kind import KIND
from flagsite.core import actor
from jobs.engine import lifecycle
with actor.acting("worker", actor=actor.SYSTEM):
    began = time.perf_counter()
    for _ in range({JOBS}):
        lifecycle.create(kind=KIND)  # one statement, so a transaction by itself
    print(json.dumps({JOBS} / (time.perf_counter() - began)))
"""
ENDED = "SELECT count(*) FROM jobs_job WHERE kind = %s AND status = 'COMPLETED'"
RATE = """
SELECT count(*) / extract(epoch FROM max(completed_at) - min(started_at))::float8 FROM jobs_job WHERE kind = %s
"""


def empty_jobs(installation: Installation, rows: int) -> list[Result]:
    """Measure how many jobs that do nothing are created by one process, and ended by two slots, in a second."""
    ours = created_and_ended(installation)
    theirs = peer_programs.run(installation, peer_programs.PROCRASTINATE, "measure", JOBS, SLOTS)
    return [
        Result(
            f"jobs that do nothing, {name}", f"{ours[name]:,.0f}/s", f"procrastinate {theirs[name]:,.0f}/s",
            ours[name] / theirs[name], "≥ procrastinate", ours[name] >= theirs[name],
            {"ours": ours[name], "procrastinate": theirs[name]},
        )
        for name in ("created", "ended")
    ]  # fmt: skip


def created_and_ended(installation: Installation, program: str = CREATE, kind: str = KIND) -> dict[str, float]:
    """Return how many jobs one process of Flagsite creates in a second, and how many two slots then end."""
    installation.create_trees(1, 1)
    created = float(json.loads(installation.python(program).splitlines()[-1]))
    with installation.worker(SLOTS, include="bench.empty_kind", keep=True):
        wait(installation, kind, JOBS)
    ((ended,),) = installation.sql(RATE, [kind])
    return {"created": created, "ended": ended}


def wait(installation: Installation, kind: str, jobs: int) -> None:
    """Wait until so many jobs of the kind are COMPLETED. Raises TimeoutError if they do not come to that."""
    installation.until(lambda found: found[0][0] >= jobs, ENDED, [kind])
