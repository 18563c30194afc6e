"""bin/test that is told to stop: it ends, in order, and none of the processes of its tests is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from flagsite.tests.startup.conftest import Start, end

pytestmark = pytest.mark.slow
RUN = """
import sys
from flagsite.development.servers import template_data, run_tests
template_data.make_template = lambda folder: folder
sys.exit(run_tests.main(["-q", "-p", "no:randomly", "-n", "PROCESSES", "flagsite/tests/startup/endless.py"]))
"""


@pytest.mark.parametrize(("processes", "number"), [(0, signal.SIGHUP), (2, signal.SIGTERM)])
def test_a_signal_to_the_first_process_ends_all(
    start: Start, folder: Path, processes: int, number: signal.Signals
) -> None:
    folder.mkdir(mode=0o700)
    away = {"REDIS_URL": "redis://none", "DATABASE_URL": "postgres://none/none", "FLAGSITE_ENVIRONMENT": "development"}
    run = start(RUN.replace("PROCESSES", str(processes)), **away, ENDLESS_FOLDER=str(folder))
    end_of_patience = time.monotonic() + 60
    while not (started := list(folder.glob("started-*"))):
        assert time.monotonic() < end_of_patience
        assert run.poll() is None
        time.sleep(0.05)
    assert end(run, number) == pytest.ExitCode.INTERRUPTED
    assert len(list(folder.glob("torn-down-*"))) == 1
    assert not [pid for pid in started[0].name.split("-")[1:] if _lives(int(pid))]


def _lives(pid: int) -> bool:
    try:
        return pid != os.getpid() and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
