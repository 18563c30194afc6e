"""One installation for all tests of signals with real processes: two web processes, JSON lines, a scraper's token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flagsite.tests.crash.installation import Installation, kill_session

TOKEN = "a-scrapers-own-token"


@pytest.fixture(scope="session")
def _observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("observed"))
    installation.environment["METRICS_TOKEN"] = TOKEN
    installation.web_workers = 2
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def observed(_observed: Installation) -> Iterator[Installation]:
    """Servers and web that run; what else a test starts is killed after it."""
    _observed.postgres.start()
    _observed.valkey.start()
    environment = dict(_observed.environment)
    yield _observed
    _observed.environment = environment
    for process in _observed.processes:
        if process is not _observed.web:
            kill_session(process)
    _observed.processes[:] = [process for process in _observed.processes if process is _observed.web]


def lines_of(installation: Installation, program: str) -> list[dict[str, Any]]:
    """What the programs of that name have logged, line by line; fails on a line that is not JSON."""
    logs = sorted(installation.folder.glob(f"{program}-*.log"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines() if line.strip()]
