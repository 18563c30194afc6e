"""What the programs of other job queues share: `PROGRAM URL measure JOBS SLOTS`, `PROGRAM URL kill SECONDS`.

Each program (`celery_jobs.py`, `django_tasks_jobs.py`, `procrastinate_jobs.py`, `rq_jobs.py`) runs in an environment
with bench/peers.txt, so it imports no module of Flagsite. A job notes in a file when it runs, which costs some
microseconds, and does nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

URL = sys.argv[1] if len(sys.argv) > 1 else ""
NOTES = "BENCH_NOTES"
SLOW_SECONDS = 3.0
LONGEST_SECONDS = 900.0
_files: dict[str, int] = {}


def note(word: str) -> None:
    """Append the word and the time to the file of notes."""
    name = os.environ[NOTES]
    if name not in _files:
        _files[name] = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_files[name], f"{word} {time.time()}\n".encode())


def do_nothing() -> None:
    """Do nothing, and note it."""
    note("nothing")


def do_something_slow() -> None:
    """Take some seconds, in which somebody may kill the worker."""
    note("started")
    time.sleep(SLOW_SECONDS)
    note("ended")


class OtherQueue(ABC):
    """A job queue: how it is prepared, and how it creates and runs jobs."""

    processes_for_slots = True
    """Whether each slot is a process of its own; else one worker has all slots."""

    @abstractmethod
    def prepare(self) -> None:
        """Make tables, if it has any."""

    @abstractmethod
    def create(self) -> None:
        """Create a job that does nothing."""

    @abstractmethod
    def create_slow(self) -> None:
        """Create a job that takes some seconds."""

    @abstractmethod
    def work(self, slots: int) -> None:
        """Run a worker in this process until somebody ends it."""


def main(queue: OtherQueue) -> None:
    """Do what the arguments of the program say, and print the figures."""
    verb, *numbers = sys.argv[2:]
    if verb == "work":
        queue.work(int(numbers[0]))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[NOTES] = str(Path(folder) / "notes")
        queue.prepare()
        figure = _measure(queue, *map(int, numbers)) if verb == "measure" else _kill(queue, float(numbers[0]))
    print(json.dumps(figure), flush=True)


def _measure(queue: OtherQueue, jobs: int, slots: int) -> dict[str, float]:
    """Return how many jobs this process creates in a second, and how many the workers then end."""
    began = time.perf_counter()
    for _ in range(jobs):
        queue.create()
    created = jobs / (time.perf_counter() - began)
    workers = _start(queue, slots)
    end_at = time.monotonic() + LONGEST_SECONDS
    while len(times := _times("nothing")) < jobs:
        if time.monotonic() > end_at or any(worker.poll() is not None for worker in workers):
            sys.exit(f"{len(times)} of {jobs} jobs have run, and then a worker has ended or the time was up.")
        time.sleep(0.2)
    _end(workers)
    return {"created": created, "ended": (len(times) - 1) / (times[-1] - times[0])}


def _kill(queue: OtherQueue, seconds: float) -> float | None:
    """Kill a worker while it runs a job. Return after how many seconds another one has ended it, or None."""
    queue.create_slow()
    workers = _start(queue, 1)
    while not _times("started"):
        if workers[0].poll() is not None:
            sys.exit("The worker has ended.")
        time.sleep(0.05)
    _end(workers)
    killed_at = time.time()
    workers = _start(queue, 1)
    while not (ended := _times("ended")) and time.time() < killed_at + seconds:
        time.sleep(0.2)
    _end(workers)
    return ended[0] - killed_at if ended else None


def _start(queue: OtherQueue, slots: int) -> list[subprocess.Popen[bytes]]:
    processes, each = (slots, 1) if queue.processes_for_slots else (1, slots)
    command = [sys.executable, sys.argv[0], URL, "work", str(each)]
    return [subprocess.Popen(command, start_new_session=True, stdout=sys.stderr) for _ in range(processes)]


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Kill the workers with all their processes, also those that have made a process group of their own."""
    sessions = {worker.pid for worker in workers}
    for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        with suppress(ProcessLookupError):
            if os.getsid(pid) in sessions:
                os.kill(pid, signal.SIGKILL)
    for worker in workers:
        worker.wait()


def _times(word: str) -> list[float]:
    path = Path(os.environ[NOTES])
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(float(line.partition(" ")[2]) for line in lines if line.startswith(f"{word} "))
