"""The commands of the README, run as a newcomer runs them: from anywhere, with an empty environment."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagsite.servers import ROOT, PostgresServer, ValkeyServer, leftovers
from flagsite.tests.startup.conftest import empty_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One data folder for all of these: the first makes everything, the others find it as people do every day."""
    yield from empty_folder()


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Nothing but the way to programs and the data folder; there is no home."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "FLAGSITE_DATA_DIR": str(folder)}


def test_the_demo_reaches_all_and_leaves_nothing_behind(environment: dict[str, str], folder: Path) -> None:
    done = _run(environment, "demo", "--once")
    assert done.returncode == 0, done.stderr
    summary = _last_line(done.stdout)
    assert list(summary) == [
        "jobId", "status", "totalOrganizations", "processedOrganizations", "failedOrganizations", "seconds",
    ]  # fmt: skip
    assert (summary["status"], summary["failedOrganizations"]) == ("COMPLETED", 0)
    assert summary["totalOrganizations"] == summary["processedOrganizations"] > 5000
    assert 0 < summary["seconds"] < 60
    assert _nothing_runs(folder)

    secrets = [folder / "demo-key", folder / "admin-password"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    kept = [path.read_text() for path in secrets]
    again = _run(environment, "demo", "--once")
    switched = {re.search(r"Switch new-checkout (on|off)", one.stdout)[1] for one in (done, again)}
    assert switched == {"on", "off"}
    assert _last_line(again.stdout)["processedOrganizations"] == summary["processedOrganizations"]
    assert [path.read_text() for path in secrets] == kept


def test_the_demo_serves_with_the_key_that_it_shows_until_ctrl_c(environment: dict[str, str], folder: Path) -> None:
    with _started(environment, "demo") as demo:
        shown = _read_until_json(demo)
        line = next(line for line in shown if line.strip().startswith("curl") and "/job-status/" in line)
        assert _last_line(subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout)["chain"]
        login = next(line.split() for line in shown if "/admin/" in line)[0]
        assert urllib.request.urlopen(login, timeout=60).status == 200
        refused = _run(environment, "demo", "--once")
        assert refused.returncode != 0
        assert "runs already" in refused.stderr
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
    assert _nothing_runs(folder)


def test_after_a_kill_of_everything_the_next_demo_works(environment: dict[str, str], folder: Path) -> None:
    with _started(environment, "demo") as demo:
        _read_until_json(demo)
        everything = [*psutil.Process(demo.pid).children(recursive=True), psutil.Process(demo.pid)]
        for process in everything:
            process.kill()
        demo.wait()
    done = _run(environment, "demo", "--once")
    assert done.returncode == 0, done.stderr
    assert _last_line(done.stdout)["status"] == "COMPLETED"
    assert _nothing_runs(folder)


def test_a_taken_port_is_refused_when_it_was_asked_for(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = _run(environment, "demo", "--once", "--port", str(port))
    assert done.returncode != 0
    assert f"Port {port} is taken" in done.stderr


def test_manage_brings_the_servers_for_its_own_time(environment: dict[str, str], folder: Path) -> None:
    assert _run(environment, "manage", "migrate", "--verbosity", "0").returncode == 0
    listed = _run(environment, "manage", "check_tree", "--json")
    assert json.loads(listed.stdout)["sound"] is True
    assert _nothing_runs(folder)


def test_dev_takes_over_code_that_changed(environment: dict[str, str], other_folder: Path) -> None:
    log = other_folder / "flagsite.log"
    with _started(environment | {"FLAGSITE_DATA_DIR": str(other_folder)}, "dev") as dev:
        page = "http://" + _line_with(log, r"web .*Listening at: http://(\S+)") + "/docs"
        _await(page)
        _line_with(log, "celery@.* ready")
        os.utime(ROOT / "flagsite" / "urls.py")
        _line_with(log, "code changed")
        _line_with(log, "(?s)code changed.*celery@.* ready")
        _await(page)
        dev.send_signal(signal.SIGTERM)
        assert dev.wait(timeout=60) in {0, 128 + signal.SIGTERM}
    assert _nothing_runs(other_folder)


def test_bench_measures_on_servers_of_its_own(environment: dict[str, str], folder: Path, tmp_path: Path) -> None:
    """With so few rows the limits are missed, which the exit status may say; the figures are there."""
    report = tmp_path / "bench.json"
    done = _run(environment, "bench", "flip", "--rows", "500", "--json", str(report))
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    results = json.loads(report.read_text())["results"]
    assert len(results) == 1
    assert all(result["ratio"] > 0 for result in results)
    assert _nothing_runs(folder)


def _await(page: str, within: float = 60) -> None:
    """Until the page is there again: a web server that takes over new code closes its port for a moment."""
    end_of_patience = time.monotonic() + within
    while True:
        try:
            assert urllib.request.urlopen(page, timeout=60).status == 200
            return
        except urllib.error.URLError:
            if time.monotonic() > end_of_patience:
                raise
            time.sleep(0.2)


def _line_with(log: Path, pattern: str, within: float = 60) -> str:
    """Wait until the log has what the pattern says; returns its first group, or all of it."""
    end_of_patience = time.monotonic() + within
    while time.monotonic() < end_of_patience:
        found = re.search(pattern, log.read_text()) if log.exists() else None
        if found:
            return found.group(found.lastindex or 0)
        time.sleep(0.1)
    raise AssertionError(f"{pattern!r} did not come:\n{log.read_text()[-4000:]}")


def _run(environment: dict[str, str], command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [str(ROOT / "bin" / command), *arguments]
    return subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=150)


@contextmanager
def _started(environment: dict[str, str], command: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs on; what is left of its session is killed at the end."""
    process = subprocess.Popen(
        [str(ROOT / "bin" / command)],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    leader = leftovers.Leader.now(process.pid)
    try:
        yield process
    finally:
        leftovers.end_session(leader)
        process.communicate()


def _read_until_json(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: Iterator[str] = iter(process.stdout.readline, "")
    shown = []
    for line in lines:
        shown.append(line)
        if line.startswith("{"):
            return shown
    raise AssertionError("".join(shown))


def _last_line(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return answer


def _nothing_runs(folder: Path) -> bool:
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
