"""Data folders of their own, with nothing left running afterwards; and programs that use them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flagsite.development.servers import ROOT, PostgresServer, ValkeyServer, orphaned_processes

Start = Callable[..., subprocess.Popen[str]]


def empty_folder() -> Iterator[Path]:
    """An empty data folder in a folder that only we may enter, as mkdtemp makes it."""
    parent = Path(tempfile.mkdtemp(prefix="fs-"))
    data = parent / "data"
    yield data
    for server in (ValkeyServer(data), PostgresServer(data)):
        server.kill()
        if server.sockets.parent != data:
            shutil.rmtree(server.sockets, ignore_errors=True)
    shutil.rmtree(parent)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder for one test."""
    yield from empty_folder()


@pytest.fixture
def other_folder() -> Iterator[Path]:
    """A second one beside it."""
    yield from empty_folder()


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start Python code that has its data in `folder`, in a session of its own; killed after the test."""
    started: list[tuple[subprocess.Popen[str], orphaned_processes.SessionLeader]] = []

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment_for(folder) | environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append((process, orphaned_processes.SessionLeader.now(process.pid)))
        return process

    yield start
    for process, leader in started:
        orphaned_processes.kill_session(leader)
        process.communicate()


def environment_for(folder: Path) -> dict[str, str]:
    """Ours, but for the data folder and without other servers."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return kept | {"FLAGSITE_DATA_DIR": str(folder)}


def said(process: subprocess.Popen[str]) -> str:
    """The next line that the process writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> int:
    """Send a signal and return the exit status."""
    process.send_signal(number)
    return process.wait(timeout=40)
