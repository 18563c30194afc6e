"""Several processes that use the servers: the first starts them, the last stops them, whatever kills the others."""

from __future__ import annotations

import signal
from pathlib import Path
from shutil import rmtree

import pytest

from flagsite.development.servers import PostgresServer, Server, ValkeyServer
from flagsite.tests.startup.conftest import Start, end, said
from flagsite.tests.startup.running import begin_with_tables

pytestmark = pytest.mark.slow
USE_SERVERS = """
import signal
from flagsite.development import servers
with servers.running():
    print([server.pid() for server in servers.embedded_servers()], flush=True)
    signal.pause()
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    """One with a database, so that not each of these has to make one."""
    begin_with_tables(folder)
    return folder


def test_the_last_user_stops_the_servers(start: Start, folder: Path) -> None:
    first, second = start(USE_SERVERS), start(USE_SERVERS)
    assert said(first) == said(second) != ""
    end(first)
    assert _all_ready(folder)
    end(second)
    assert _none_runs(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_server_behind(start: Start, folder: Path, number: signal.Signals) -> None:
    user = start(USE_SERVERS)
    said(user)
    end(user, number)
    assert _none_runs(folder)


def test_servers_of_a_user_that_was_killed_are_taken_over_and_stopped(start: Start, folder: Path) -> None:
    killed = start(USE_SERVERS)
    pids = said(killed)
    end(killed, signal.SIGKILL)
    assert _all_ready(folder)
    heir = start(USE_SERVERS)
    assert said(heir) == pids
    end(heir)
    assert _none_runs(folder)


def test_a_killed_user_does_not_count(start: Start, folder: Path) -> None:
    killed, living = start(USE_SERVERS), start(USE_SERVERS)
    said(killed)
    said(living)
    end(killed, signal.SIGKILL)
    end(living)
    assert _none_runs(folder)


def test_ten_that_start_at_once_share_one_pair_of_servers(start: Start, folder: Path) -> None:
    rmtree(folder)  # from nothing: one of them has to make the database
    users = [start(USE_SERVERS) for _ in range(10)]
    assert len({said(user) for user in users}) == 1
    for user in users:
        end(user)
    assert _none_runs(folder)


def test_who_starts_a_server_by_hand_keeps_it_for_as_long_as_it_lives(start: Start, folder: Path) -> None:
    ValkeyServer(folder).start()
    user = start(USE_SERVERS)
    said(user)
    end(user)
    assert _all_ready(folder)


def test_a_server_that_a_url_names_is_not_brought(start: Start, folder: Path) -> None:
    user = start(USE_SERVERS, DATABASE_URL="postgresql://elsewhere/flagsite")
    said(user)
    assert PostgresServer(folder).pid() is None
    assert ValkeyServer(folder).is_ready()
    end(user)


def _servers(folder: Path) -> list[Server]:
    return [PostgresServer(folder), ValkeyServer(folder)]


def _all_ready(folder: Path) -> bool:
    return all(server.is_ready() for server in _servers(folder))


def _none_runs(folder: Path) -> bool:
    return not any(server.processes() for server in _servers(folder))
