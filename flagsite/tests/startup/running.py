"""Running the commands of the README as a newcomer does: from anywhere, with an empty environment."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from flagsite.development.servers import ROOT, PostgresServer, ValkeyServer, orphaned_processes, template_data


def bare_environment(folder: Path) -> dict[str, str]:
    """Nothing but the way to programs and the data folder, with what killed ones leave beside it; there is no home."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "FLAGSITE_DATA_DIR": str(folder),
        "TMPDIR": str(folder.parent),
    }


def begin_with_tables(folder: Path) -> None:
    """Have the data folder begin with all tables made, where bin/test has prepared some."""
    if template_data.VARIABLE in os.environ:
        folder.mkdir(mode=0o700, parents=True)
        template_data.copy_template(Path(os.environ[template_data.VARIABLE]), folder)


def run(environment: dict[str, str], command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the commands in bin/ to its end."""
    words = [str(ROOT / "bin" / command), *arguments]
    return subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=150)


@contextmanager
def started(environment: dict[str, str], command: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs on; what is left of its session is killed at the end."""
    process = subprocess.Popen(
        [str(ROOT / "bin" / command), *arguments],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    leader = orphaned_processes.SessionLeader.now(process.pid)
    try:
        yield process
    finally:
        orphaned_processes.kill_session(leader)
        process.communicate()


def nothing_runs(folder: Path) -> bool:
    """Whether no process has this data folder in its command line or environment."""
    assert not PostgresServer(folder).processes()
    assert not ValkeyServer(folder).processes()
    time.sleep(0.2)
    return not [one.pid for one in psutil.process_iter() if str(folder) in " ".join(_words(one))]


def _words(process: psutil.Process) -> list[str]:
    try:
        if process.pid == os.getpid():
            return []
        return [*process.cmdline(), process.environ().get("FLAGSITE_DATA_DIR", "")]
    except psutil.Error:
        return []
