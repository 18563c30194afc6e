"""The program `procrastinate_jobs.py URL JOBS SLOTS`: print how many empty jobs procrastinate does in a second.

The program runs in an environment with bench/peers.txt, so it imports no module of Flagsite. Each slot is a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import procrastinate
import psycopg

app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=os.environ.get("BENCH_DATABASE", "")))
RATE = """
SELECT count(DISTINCT job_id) / extract(epoch FROM max(at) - min(at) FILTER (WHERE type = 'started'))::float8
  FROM procrastinate_events WHERE type IN ('started', 'succeeded')
"""


@app.task(queue="bench", name="nothing")
def nothing() -> None:
    """Do nothing."""


def main(url: str, jobs: int, slots: int) -> None:
    """Create the jobs in this process, then let workers end them."""
    os.environ["BENCH_DATABASE"] = url
    creating = app.with_connector(procrastinate.SyncPsycopgConnector(conninfo=url))
    with creating.open():
        creating.schema_manager.apply_schema()
        began = time.perf_counter()
        task = creating.tasks["nothing"]
        for _ in range(jobs):
            task.defer()
        created = jobs / (time.perf_counter() - began)
    workers = [subprocess.Popen([sys.executable, __file__, "work", url]) for _ in range(slots)]
    with psycopg.connect(url, autocommit=True) as connection:
        while _ended(connection) < jobs:
            time.sleep(0.1)
        row = connection.execute(RATE).fetchone()
    for worker in workers:
        worker.terminate()
        worker.wait()
    print(json.dumps({"created": created, "ended": row[0] if row else 0.0}))


def _ended(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'").fetchone()
    return row[0] if row else 0


def work(url: str) -> None:
    """Be a worker with one slot."""
    app.with_connector(procrastinate.PsycopgConnector(conninfo=url)).run_worker(
        queues=["bench"], concurrency=1, delete_jobs="never"
    )


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
