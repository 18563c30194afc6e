"""One installation for all crash tests; each begins with a new tree and no worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flagsite.tests.crash.installation import Installation, kill_session


@pytest.fixture(scope="session")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.web_workers = 2
    installation.environment |= {"FLAG_USAGE_SECONDS": "0.3", "TREE_INLINE_ORGANIZATIONS": "500"}
    installation.environment |= {"FLAGS_INLINE_ROWS": "100"}  # the move of a small branch with some flags is a job
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def installation(_installed: Installation) -> Iterator[Installation]:
    """Servers and web that run; workers that the test starts are killed after it."""
    _installed.postgres.start()
    _installed.valkey.start()
    _installed.speed_up()
    _installed.sql("DELETE FROM jobs_worker")  # those that were killed after other tests
    yield _installed
    for process in _installed.processes:
        if process is not _installed.web:
            kill_session(process)
    _installed.processes[:] = [process for process in _installed.processes if process is _installed.web]
