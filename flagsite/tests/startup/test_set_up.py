"""The first set-up, interrupted: what installs ends with it, or at least keeps the next one out."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flagsite.development.servers import ROOT

SET_UP = """
import sys
sys.path.insert(0, "bin")
import environment
environment.is_sound = lambda: True
environment.install = lambda _: environment.run(sys.executable, "-c", WRITE)
WRITE = '''
import os, time
os.fork()
open("writers", "a").write(f"{os.getpid()}\\\\n")
time.sleep(600)
'''
environment.make_current("local")
"""
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder with what the set-up reads; what still writes into it afterwards is killed."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "environment.py", tmp_path / "bin")
    (tmp_path / "requirements-local.txt").touch()
    (tmp_path / "requirements-dev.txt").touch()
    yield tmp_path
    for pid in _writers(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def set_up(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A set-up in whose middle two processes write."""
    with subprocess.Popen([sys.executable, "-c", SET_UP], cwd=checkout, stderr=subprocess.DEVNULL) as process:
        _eventually(lambda: len(_writers(checkout)) == 2)
        yield process
        process.kill()


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_installation_too(
    checkout: Path, set_up: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    set_up.send_signal(number)
    assert set_up.wait(timeout=20) == 128 + number
    _eventually(lambda: not any(_lives(pid) for pid in _writers(checkout)))
    _eventually(lambda: _may_begin(checkout))


def test_the_next_set_up_waits_for_what_a_killed_one_left(checkout: Path, set_up: subprocess.Popen[bytes]) -> None:
    set_up.kill()
    set_up.wait()
    assert not _may_begin(checkout)
    for pid in _writers(checkout):
        os.kill(pid, signal.SIGKILL)
    _eventually(lambda: _may_begin(checkout))


def _writers(checkout: Path) -> list[int]:
    path = checkout / "writers"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _may_begin(checkout: Path) -> bool:
    lock = os.open(checkout / "bin", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _eventually(condition: Callable[[], bool], within: float = 20) -> None:
    end_of_patience = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end_of_patience
        time.sleep(0.02)
