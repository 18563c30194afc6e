"""The commands of the README beside the demo, run as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flagsite.development.servers import ROOT
from flagsite.tests.startup.running import bare_environment, begin_with_tables, nothing_runs, run, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Of a command whose data folder has been in use."""
    begin_with_tables(folder)
    return bare_environment(folder)


def test_a_taken_port_is_refused_when_it_was_asked_for(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run(environment, "demo", "--once", "--port", str(port))
    assert done.returncode != 0
    assert f"Port {port} is taken" in done.stderr


def test_manage_brings_the_servers_for_its_own_time(environment: dict[str, str], folder: Path) -> None:
    assert run(environment, "manage", "migrate", "--verbosity", "0").returncode == 0
    listed = run(environment, "manage", "check_tree", "--json")
    assert json.loads(listed.stdout)["sound"] is True
    assert nothing_runs(folder)


def test_what_a_shell_has_counted_is_handed_on_before_its_servers_stop(
    environment: dict[str, str], folder: Path
) -> None:
    asked = (
        "from flags.serving import organization_snapshot, process_cache, usage_counter;"
        "process_cache.process_evaluation_cache().definitions();"
        "usage_counter.count_all(organization_snapshot.NO_ORGANIZATION, '')"
    )
    done = run(environment, "manage", "shell", "--verbosity", "0", "-c", asked)
    assert (done.returncode, done.stderr) == (0, "")
    counts = "from flags.insights import usage_buffer; print(usage_buffer.client().hgetall(usage_buffer.COUNTS))"
    assert run(environment, "manage", "shell", "--verbosity", "0", "-c", counts).stdout == "{':': '1', ':@': '1'}\n"
    assert nothing_runs(folder)


def test_dev_takes_over_code_that_changed(environment: dict[str, str], folder: Path) -> None:
    log = folder / "flagsite.log"
    with started(environment, "dev") as dev:
        page = "http://" + _line_with(log, r"web .*web_server_listening .*address=http://(\S+)") + "/docs"
        _await(page)
        _line_with(log, "celery@.* ready")
        assert dev.stdout is not None
        said = iter(dev.stdout.readline, "")
        login = next(line for line in said if line.startswith("Admin site: http://127.0.0.1:"))
        assert login.split()[-3:] == ["admin", "with", (folder / "admin-password").read_text().strip()]
        os.utime(ROOT / "flagsite" / "urls.py")
        _line_with(log, "code changed")
        _line_with(log, "(?s)code changed.*celery@.* ready")
        _await(page)
        dev.send_signal(signal.SIGTERM)
        assert dev.wait(timeout=60) in {0, 128 + signal.SIGTERM}
    assert nothing_runs(folder)


def test_bench_measures_on_servers_of_its_own(folder: Path, tmp_path: Path) -> None:
    """With so few rows the limits are missed, which the exit status may say; the figures are there."""
    report = tmp_path / "bench.json"
    begin_with_tables(folder / "bench")
    done = run(bare_environment(folder), "bench", "flip", "--rows", "500", "--json", str(report))
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    results = json.loads(report.read_text())["results"]
    assert len(results) == 1
    assert all(result["ratio"] > 0 for result in results)
    assert nothing_runs(folder)


def test_bench_that_is_told_to_stop_leaves_no_process_behind(folder: Path) -> None:
    begin_with_tables(folder / "bench")
    with started(bare_environment(folder), "bench", "flip", "--rows", "500", "--json", os.devnull) as bench:
        _line_with(folder / "bench" / "processes.json", r"pid.*pid")  # the web server's, and a worker's
        bench.terminate()
        assert bench.wait(timeout=60) == 128 + signal.SIGTERM
    assert nothing_runs(folder)


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
