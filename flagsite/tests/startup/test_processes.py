"""Supervision, with small programs in the place of web, events, worker and beat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flagsite.development.servers import orphaned_processes
from flagsite.tests.startup.conftest import Start, end, said
from orgs.tests.replacing import replaced

pytestmark = pytest.mark.slow
Begin = Callable[..., subprocess.Popen[str]]

SUPERVISE = """
import signal, sys
from pathlib import Path
from rich.console import Console
from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.supervisor import Process, Supervisor, only_supervisor
from flagsite.development.servers.exit_signals import signals_as_exit

POLITE = "import os, time; os.fork(); print('here', flush=True); time.sleep(600)"
STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(600)"
folder = Path(sys.argv[1])
processes = [Process(name, [sys.executable, "-c", code]) for name, code in (("web", POLITE), ("worker", POLITE))]
log = CombinedLog(folder / "log", Console())
with signals_as_exit(), only_supervisor(folder), Supervisor(processes, folder=folder, log=log).running():
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture
def supervisor(start: Start, folder: Path) -> Begin:
    """Starts a supervisor of two programs, each with a child; returns when all four run."""
    folder.mkdir()

    def begin(code: str = SUPERVISE) -> subprocess.Popen[str]:
        process = start(
            code.replace("sys.argv[1]", repr(str(folder))), REDIS_URL="redis://none", DATABASE_URL="postgres://none"
        )
        assert said(process) == "up"
        _eventually(lambda: len(_members(folder)) == 4)
        return process

    return begin


def test_what_ends_by_itself_is_started_again(supervisor: Begin, folder: Path) -> None:
    process = supervisor()
    (web, _) = _leaders(folder)
    os.kill(web, signal.SIGKILL)
    _eventually(lambda: web not in _leaders(folder) and len(_members(folder)) == 4)
    assert "ended with status -9; starting again" in (folder / "log").read_text()
    end(process)


FULL_DISK = """
import errno, os
from pathlib import Path
from flagsite.development.servers import combined_log, orphaned_processes

real_write, real_record = os.write, orphaned_processes.record_sessions

def refuse():
    if (Path(sys.argv[1]) / "disk-is-full").exists():
        raise OSError(errno.ENOSPC, "No space left on device")

def write(file, data):
    refuse()
    return real_write(file, data)

def record(folder, leaders):
    refuse()
    real_record(folder, leaders)

class Os:
    close, write = staticmethod(os.close), staticmethod(write)

combined_log.os = Os
orphaned_processes.record_sessions = record
"""


def test_a_full_disk_does_not_end_the_supervision(supervisor: Begin, folder: Path) -> None:
    process = supervisor("import sys\n" + FULL_DISK + SUPERVISE)
    before = _leaders(folder)
    (folder / "disk-is-full").touch()
    for leader in before:
        os.kill(leader, signal.SIGKILL)
    _eventually(lambda: len(_programs_of(process)) == 2 and not _living(set(before)))
    again = _programs_of(process)
    (folder / "disk-is-full").unlink()
    _eventually(lambda: set(_leaders(folder)) == again)
    os.kill(min(again), signal.SIGKILL)
    _eventually(lambda: min(again) not in _leaders(folder) and len(_members(folder)) == 4)
    text = (folder / "log").read_text()
    assert "lines were left out" in text
    assert "ended with status -9; starting again" in text
    end(process)


def _programs_of(process: subprocess.Popen[str]) -> set[int]:
    """The living programs that the supervisor has started, without its watchdog."""
    found = set()
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "orphaned_processes" not in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_process_behind(supervisor: Begin, folder: Path, number: signal.Signals) -> None:
    process = supervisor()
    members = _members(folder)
    end(process, number)
    assert not _living(members)
    assert not (folder / "processes.json").exists()


def test_the_children_of_a_program_go_with_it(supervisor: Begin, folder: Path) -> None:
    process = supervisor()
    members = _members(folder)
    os.kill(_leaders(folder)[0], signal.SIGTERM)
    _eventually(lambda: len(_living(members)) == 2)
    end(process)


def test_a_stubborn_program_is_killed_in_the_end(supervisor: Begin, folder: Path) -> None:
    code = replaced(SUPERVISE, '("worker", POLITE)', '("worker", STUBBORN)')
    process = supervisor("from flagsite.development.servers import supervisor; supervisor.PATIENCE = 1\n" + code)
    members = _members(folder)
    end(process)
    assert not _living(members)


def test_when_the_supervisor_is_killed_its_processes_end(supervisor: Begin, folder: Path) -> None:
    process = supervisor()
    members = _members(folder)
    end(process, signal.SIGKILL)
    _eventually(lambda: not _living(members))


def test_what_an_earlier_run_left_is_ended_first(supervisor: Begin, folder: Path) -> None:
    process = supervisor()
    members = _members(folder)
    watchdog = next(
        child for child in psutil.Process(process.pid).children() if "orphaned_processes" in " ".join(child.cmdline())
    )
    watchdog.kill()
    end(process, signal.SIGKILL)
    assert _living(members)
    heir = supervisor()
    assert not _living(members)
    end(heir)


def test_a_second_supervisor_of_the_same_data_is_refused(supervisor: Begin, start: Start, folder: Path) -> None:
    process = supervisor()
    members = _members(folder)
    second = start(SUPERVISE.replace("sys.argv[1]", repr(str(folder))))
    assert second.wait(timeout=20) != 0
    assert _living(members) == members
    end(process)


def test_a_stranger_that_has_the_number_by_now_is_left_alone(start: Start, folder: Path) -> None:
    folder.mkdir()
    stranger = start("import sys; print('here', flush=True); sys.stdin.read()")
    assert said(stranger) == "here"
    orphaned_processes.record_sessions(folder, [orphaned_processes.SessionLeader(stranger.pid, started=12345.0)])
    assert orphaned_processes.kill_recorded_sessions(folder) == 0
    assert stranger.poll() is None


def _leaders(folder: Path) -> list[int]:
    return [leader["pid"] for leader in json.loads((folder / "processes.json").read_text())["leaders"]]


def _members(folder: Path) -> set[int]:
    """Every process of the sessions that the supervisor started."""
    leaders = set(_leaders(folder)) if (folder / "processes.json").exists() else set()
    return {
        process.pid for process in psutil.process_iter() if process.is_running() and _session(process.pid) in leaders
    }


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _living(pids: set[int]) -> set[int]:
    living = set()
    for one in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):  # it has ended between two looks
            if one.pid in pids and one.status() != psutil.STATUS_ZOMBIE:
                living.add(one.pid)
    return living


def _eventually(condition: Callable[[], bool], within: float = 20) -> None:
    end_of_patience = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end_of_patience
        time.sleep(0.05)
