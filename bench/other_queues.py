"""Jobs that do nothing in other job queues, with two slots each, and whether a killed worker's job goes on by itself.

The queues promise different things, which bench/README.md lists beside the figures. Queues with their jobs in Redis do
not write to a database at all.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bench import peer_programs
from bench.empty_jobs import JOBS, SLOTS, created_and_ended
from bench.installation import Installation
from bench.peer_programs import PEERS
from bench.report import Result

KILL_SECONDS = 60.0
"""How long the bench waits for the job of a killed worker. Flagsite needs a lease and a run of the rescuer, 35 s."""
SLOW_KIND, TASK_KIND = "slow", "django_task"
CREATE_TASKS = f"""
import django, json, time; django.setup()
from bench.empty_kind import nothing_task
from flagsite.core import actor
with actor.acting("worker", actor=actor.SYSTEM):
    began = time.perf_counter()
    for _ in range({JOBS}):
        nothing_task.enqueue()
    print(json.dumps({JOBS} / (time.perf_counter() - began)))
"""
CREATE_SLOW = """
import django; django.setup()
from bench.empty_kind import SLOW_KIND
from flagsite.core import actor
from jobs.engine import lifecycle
with actor.acting("worker", actor=actor.SYSTEM):
    print(lifecycle.create(kind=SLOW_KIND).pk)
"""


def other_queues(installation: Installation, rows: int) -> list[Result]:
    """Measure Flagsite, and each of the PEERS, one after the other; then kill the workers of all at the same time."""
    ours = created_and_ended(installation)
    as_tasks = created_and_ended(installation, CREATE_TASKS, TASK_KIND)
    theirs = {peer.name: peer_programs.run(installation, peer, "measure", JOBS, SLOTS) for peer in PEERS}
    with ThreadPoolExecutor() as pool:
        killed = {peer.name: pool.submit(peer_programs.run, installation, peer, "kill", KILL_SECONDS) for peer in PEERS}
        seconds = {"Flagsite": _kill_own_worker(installation)}
        seconds |= {name: future.result() for name, future in killed.items()}
    figures = {"ours": ours, "theirs": theirs, "tasks": as_tasks, "seconds_after_kill": seconds}
    rivals = [_compared(name, ours, theirs[name], seconds[name]) for name in theirs]
    words = f"created {ours['created']:,.0f}/s, ended {ours['ended']:,.0f}/s"
    return [
        Result(
            "jobs that do nothing", words, _after_kill(seconds["Flagsite"]), 1.0, "goes on by itself",
            seconds["Flagsite"] is not None, figures,
        ),
        _compared("Flagsite by Django's Tasks", ours, as_tasks, seconds["Flagsite"]),
        *rivals,
    ]  # fmt: skip


def _compared(name: str, ours: dict[str, float], theirs: dict[str, float], seconds: float | None) -> Result:
    words = f"created {theirs['created']:,.0f}/s, ended {theirs['ended']:,.0f}/s"
    return Result(
        f"… {name}", words, _after_kill(seconds), ours["ended"] / theirs["ended"], "–", reached=True,
        details={"seconds_after_kill": seconds, **theirs},
    )  # fmt: skip


def _after_kill(seconds: float | None) -> str:
    if seconds is None:
        return f"killed worker: its job has not gone on after {KILL_SECONDS:.0f} s"
    return f"killed worker: its job has ended after {seconds:.0f} s"


def _kill_own_worker(installation: Installation) -> float | None:
    """Kill a worker of Flagsite while it runs a job. Return after how many seconds another one has ended the job."""
    job_id = int(installation.python(CREATE_SLOW).splitlines()[-1])
    status = "SELECT status FROM jobs_job WHERE id = %s OR parent_job_id = %s ORDER BY id DESC LIMIT 1"
    end_at = time.monotonic() + 10 * KILL_SECONDS
    with installation.worker(1, include="bench.empty_kind", keep=True) as worker:
        while installation.sql(status, [job_id, job_id])[0][0] != "IN_PROGRESS" and time.monotonic() < end_at:
            time.sleep(0.05)
        installation.kill(worker)
    killed_at = time.monotonic()
    with installation.worker(1, include="bench.empty_kind", keep=True):
        while time.monotonic() < killed_at + KILL_SECONDS:
            if installation.sql(status, [job_id, job_id])[0][0] == "COMPLETED":
                return time.monotonic() - killed_at
            time.sleep(0.2)
    return None
