"""The list of the processes that a supervisor started, kept in a file so that somebody can end them when it is killed.

Run as a program, this is the watchdog: it waits until its standard input ends, which is when the supervisor is gone,
and ends what the list still names: python -m flagsite.development.servers.leftovers DATA_FOLDER
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flagsite.development.servers.locations import ROOT
from flagsite.development.servers.use import stop_unused


@dataclass(frozen=True)
class Leader:
    """The process that began a session; the time tells it from a later one with the same number."""

    pid: int
    started: float

    @classmethod
    def now(cls, pid: int) -> Leader:
        """The process that has this number now, which has not been waited for yet."""
        return cls(pid, psutil.Process(pid).create_time())


def record(folder: Path, leaders: Iterable[Leader]) -> None:
    """Write down the leaders of the sessions that run now, in place of what was written before."""
    draft = _file(folder).with_suffix(".new")
    run = {"booted": psutil.boot_time(), "leaders": [asdict(leader) for leader in leaders]}
    draft.write_text(json.dumps(run))
    draft.replace(_file(folder))


def forget(folder: Path) -> None:
    """All of them have been ended."""
    _file(folder).unlink(missing_ok=True)


def end_all(folder: Path) -> int:
    """SIGKILL to each process of each session on the list; how many there were."""
    try:
        run = json.loads(_file(folder).read_text())
    except (FileNotFoundError, ValueError):
        return 0
    ended = 0
    if abs(run["booted"] - psutil.boot_time()) < 60:  # noqa: PLR2004 - seconds; the clock may have been set
        ended = sum(end_session(Leader(**leader)) for leader in run["leaders"])
    forget(folder)
    return ended


def end_session(leader: Leader) -> int:
    """SIGKILL to each process of the session; how many there were.

    The kernel gives the number to no other process while any member of the session lives. So members are ours, unless
    the leader is a process that started at another time.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        if abs(psutil.Process(leader.pid).create_time() - leader.started) > 1:
            return 0
    ended = set()
    while members := _members(leader.pid):  # again, because one may have been about to fork
        ended |= members
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return len(ended)


def _members(leader: int) -> set[int]:
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def _file(folder: Path) -> Path:
    return folder / "processes.json"


@contextmanager
def watchdog(folder: Path) -> Iterator[None]:
    """Have a process beside us that outlives us if we are killed, and then ends what is on the list."""
    command = [sys.executable, "-m", "flagsite.development.servers.leftovers", str(folder)]
    watching = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        watching.communicate()


def watch(folder: Path) -> None:
    """Wait for the supervisor's end; if it left processes behind, end them, and servers that nobody uses then."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    sys.stdin.read()
    if end_all(folder):
        stop_unused(folder)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
