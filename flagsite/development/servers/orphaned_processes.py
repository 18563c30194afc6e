"""Killing the processes that a supervisor leaves behind when it is killed itself.

The supervisor keeps a list of their sessions in a file. Run as a program with the data folder as its argument, this
module is the watchdog: it waits for the end of its standard input, which comes when the supervisor is gone, and kills
what the list still names.
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

from flagsite.development.servers.data_folder_layout import ROOT
from flagsite.development.servers.embedded import stop_unused_servers


@dataclass(frozen=True)
class SessionLeader:
    """The process that began a session. The time of its start tells it from a later process with the same number."""

    pid: int
    started: float

    @classmethod
    def now(cls, pid: int) -> SessionLeader:
        """The process that has this number now. It must not have been waited for yet."""
        return cls(pid, psutil.Process(pid).create_time())


def record_sessions(folder: Path, leaders: Iterable[SessionLeader]) -> None:
    """Write the list: the leaders of the sessions that run now, in place of those written before."""
    draft = _list_file(folder).with_suffix(".new")
    run = {"booted": psutil.boot_time(), "leaders": [asdict(leader) for leader in leaders]}
    draft.write_text(json.dumps(run))
    draft.replace(_list_file(folder))


def forget_sessions(folder: Path) -> None:
    """Remove the list, because every process on it has ended."""
    _list_file(folder).unlink(missing_ok=True)


def kill_recorded_sessions(folder: Path) -> int:
    """Send SIGKILL to each process of each session on the list; return how many processes that were."""
    try:
        run = json.loads(_list_file(folder).read_text())
    except (FileNotFoundError, ValueError):
        return 0
    killed = 0
    if abs(run["booted"] - psutil.boot_time()) < 60:  # noqa: PLR2004 - seconds; the clock may have been set
        killed = sum(kill_session(SessionLeader(**leader)) for leader in run["leaders"])
    forget_sessions(folder)
    return killed


def kill_session(leader: SessionLeader) -> int:
    """Send SIGKILL to each process of the session; return how many processes that were.

    The kernel gives the leader's number to no other process while any member of the session lives. So the members are
    ours, unless the leader is a process that started at another time.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        if abs(psutil.Process(leader.pid).create_time() - leader.started) > 1:
            return 0
    killed = set()
    while members := _session_members(leader.pid):  # again, because one may have been about to fork
        killed |= members
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return len(killed)


def _session_members(leader: int) -> set[int]:
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def _list_file(folder: Path) -> Path:
    return folder / "processes.json"


@contextmanager
def watchdog(folder: Path) -> Iterator[None]:
    """Run the watchdog beside the block. If this process is killed, the watchdog kills the processes on the list."""
    command = [sys.executable, "-m", "flagsite.development.servers.orphaned_processes", str(folder)]
    watching = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        watching.communicate()


def run_watchdog(folder: Path) -> None:
    """Wait for the supervisor's end; kill the processes that it left, then stop the servers if no process uses them."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    sys.stdin.read()
    if kill_recorded_sessions(folder):
        stop_unused_servers(folder)


if __name__ == "__main__":
    run_watchdog(Path(sys.argv[1]))
