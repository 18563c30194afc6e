"""Jobs that do nothing: how many jobs the engine creates and ends in a second, against procrastinate in the same run.

Both have two slots. Flagsite's figures include what procrastinate does not promise: a fencing token for each attempt,
retries as rows of their own, limits in the claim, hourly metrics, and a log line for each step.
"""

from __future__ import annotations

import json
import subprocess
import time

from psycopg.conninfo import make_conninfo

from bench.in_process import peers_python
from bench.installation import ROOT, Installation
from bench.report import Result

KIND = "nothing"
JOBS = 2_000
SLOTS = 2
CREATE = f"""
import django, json, time; django.setup()
from django.db import transaction
from bench.empty_kind import KIND
from flagsite.core import actor
from jobs.engine import lifecycle
with actor.acting("worker", actor=actor.SYSTEM):
    began = time.perf_counter()
    for _ in range({JOBS}):
        with transaction.atomic():
            lifecycle.create(kind=KIND)
    print(json.dumps({JOBS} / (time.perf_counter() - began)))
"""
ENDED = "SELECT count(*) FROM jobs_job WHERE kind = %s AND status = 'COMPLETED'"
RATE = """
SELECT count(*) / extract(epoch FROM max(completed_at) - min(started_at))::float8 FROM jobs_job WHERE kind = %s
"""


def empty_jobs(installation: Installation, rows: int) -> list[Result]:
    """Measure how many jobs that do nothing are created by one process, and ended by two slots, in a second."""
    installation.create_trees(1, 1)
    created = float(json.loads(installation.python(CREATE).splitlines()[-1]))
    with installation.worker(SLOTS, include="bench.empty_kind", keep=True):
        while installation.sql(ENDED, [KIND])[0][0] < JOBS:
            time.sleep(0.2)
    ((ended,),) = installation.sql(RATE, [KIND])
    theirs = _procrastinate(installation)
    return [
        Result(
            f"jobs that do nothing, {name}", f"{ours:,.0f}/s", f"procrastinate {yardstick:,.0f}/s", ours / yardstick,
            "≥ procrastinate", ours >= yardstick, {"ours": ours, "procrastinate": yardstick},
        )
        for name, ours, yardstick in (("created", created, theirs["created"]), ("ended", ended, theirs["ended"]))
    ]  # fmt: skip


def _procrastinate(installation: Installation) -> dict[str, float]:
    """Return what procrastinate does in a database of its own on the same server."""
    installation.sql("DROP DATABASE IF EXISTS procrastinate WITH (FORCE)")
    installation.sql("CREATE DATABASE procrastinate")
    url = make_conninfo(installation.database_url, dbname="procrastinate")
    command = [peers_python(installation), str(ROOT / "bench" / "procrastinate_jobs.py"), url, str(JOBS), str(SLOTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))
