"""The program `procrastinate_jobs.py URL JOBS SLOTS`: print how many empty jobs procrastinate does in a second.

The program runs in an environment with bench/peers.txt, so it imports no module of Flagsite. Each slot is a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import procrastinate
import psycopg

URL = sys.argv[1]
IS_WORKER = sys.argv[2] == "work"
Connector = procrastinate.PsycopgConnector if IS_WORKER else procrastinate.SyncPsycopgConnector
app = procrastinate.App(connector=Connector(conninfo=URL))
RATE = """
SELECT count(DISTINCT job_id) / extract(epoch FROM max(at) - min(at) FILTER (WHERE type = 'started'))::float8
  FROM procrastinate_events WHERE type IN ('started', 'succeeded')
"""
ENDED = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


@app.task(queue="bench", name="nothing")
def nothing() -> None:
    """Do nothing."""


def main(jobs: int, slots: int) -> None:
    """Create the jobs in this process, then let workers end them."""
    with app.open():
        app.schema_manager.apply_schema()
        began = time.perf_counter()
        for _ in range(jobs):
            nothing.defer()
        created = jobs / (time.perf_counter() - began)
    workers = [subprocess.Popen([sys.executable, __file__, URL, "work"]) for _ in range(slots)]
    with psycopg.connect(URL, autocommit=True) as connection:
        while _number(connection, ENDED) < jobs:
            time.sleep(0.1)
        ended = _number(connection, RATE)
    for worker in workers:
        worker.terminate()
        worker.wait()
    print(json.dumps({"created": created, "ended": ended}))


def _number(connection: psycopg.Connection, statement: str) -> float:
    row = connection.execute(statement).fetchone()
    return row[0] if row else 0.0


if __name__ == "__main__":
    if IS_WORKER:
        app.run_worker(queues=["bench"], concurrency=1, delete_jobs="never")
    else:
        main(int(sys.argv[2]), int(sys.argv[3]))
