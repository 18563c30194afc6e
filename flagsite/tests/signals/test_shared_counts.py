"""Where web processes count together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from flagsite.metrics import multiprocess_folder, requests
from flagsite.tests.crash.installation import eventually

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, flagsite.wsgi
from flagsite.metrics import requests
requests.count(method="GET", route="docs", status=200, seconds=0.1)
print(sum(sample.value for metric in requests.registry().collect() for sample in metric.samples
          if sample.name.endswith("_count")))
"""
COUNTING = """
import sys, time, flagsite.wsgi
from flagsite.metrics import requests
for _ in range(700):
    requests.count(method="GET", route="docs", status=200, seconds=0.1)
sys.stdin.readline()
requests.count(method="GET", route="docs", status=200, seconds=0.1)
"""


def counted(base: Path) -> str:
    """Start a process that counts one request, and return how many it sees in all."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(base)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, check=True, capture_output=True)
    return done.stdout.decode().split()[-1]


def seen_in(base: Path) -> float:
    """How many requests the processes below a folder have told of."""
    registry = CollectorRegistry()
    for own in base.iterdir():
        MultiProcessCollector(registry, str(own))
    return sum(sample.value for metric in registry.collect() for sample in metric.samples if "_count" in sample.name)


def test_siblings_count_together(tmp_path: Path) -> None:
    assert [counted(tmp_path), counted(tmp_path)] == ["1.0", "2.0"]
    (own,) = tmp_path.iterdir()
    assert own.name == f"{socket.gethostname()}-{os.getpid()}"
    assert own.stat().st_mode & 0o077 == 0


def test_the_folder_of_a_server_that_is_gone_is_removed_and_others_stay(tmp_path: Path, settings: Any) -> None:
    gone, elsewhere = tmp_path / f"{socket.gethostname()}-999999999", tmp_path / "other-host-1"
    gone.mkdir()
    elsewhere.mkdir()
    counted(tmp_path)
    assert not gone.exists()
    assert elsewhere.exists()


def test_where_nothing_can_be_written_each_process_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert [counted(tmp_path / "file"), counted(tmp_path / "file")] == ["1.0", "1.0"]


def test_what_a_process_counts_its_siblings_see_within_a_second_and_what_it_counts_last_at_its_end(
    tmp_path: Path,
) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    counting = subprocess.Popen([sys.executable, "-c", COUNTING], cwd=ROOT, env=environment, stdin=subprocess.PIPE)
    eventually(lambda: seen_in(tmp_path) == 700, within=60)
    counting.communicate(b"the last one\n", timeout=30)
    assert seen_in(tmp_path) == 701


def test_a_process_that_has_begun_to_count_goes_on_by_itself(tmp_path: Path, settings: Any) -> None:
    settings.METRICS_FOLDER = str(tmp_path)
    requests.count(method="GET", route="docs", status=200, seconds=0.1)
    multiprocess_folder.share_request_counts()
    assert multiprocess_folder.VARIABLE not in os.environ
    assert list(tmp_path.iterdir()) == []
