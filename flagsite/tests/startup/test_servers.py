"""Each embedded server by itself: start, stop, kill, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import stat
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from flagsite.development import servers
from flagsite.development.servers import PostgresServer, Server, ServerError, ValkeyServer, locks
from flagsite.development.servers.data_folder_layout import socket_folder
from flagsite.development.servers.run_tests import exclusive_test_folder
from flagsite.development.servers.supervisor import only_supervisor

BOTH = pytest.mark.parametrize("kind", [PostgresServer, ValkeyServer])


@BOTH
def test_a_started_server_is_ready_and_a_stopped_one_has_no_process(kind: type[Server], folder: Path) -> None:
    server = kind(folder)
    assert (server.is_ready(), server.pid()) == (False, None)
    server.start()
    assert server.is_ready()
    os.kill(server.pid() or 0, 0)
    server.stop()
    assert (server.is_ready(), server.processes()) == (False, [])


@BOTH
def test_starting_what_runs_changes_nothing(kind: type[Server], folder: Path) -> None:
    kind(folder).start()
    pid = kind(folder).pid()
    kind(folder).start()
    assert kind(folder).pid() == pid


@pytest.mark.slow
def test_a_server_that_was_killed_starts_again_with_its_data(folder: Path) -> None:
    postgres, valkey = PostgresServer(folder), ValkeyServer(folder)
    postgres.start()
    valkey.start()
    with psycopg.connect(servers.database_url(folder), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    _client(folder).set("kept", 42)
    postgres.kill()
    valkey.kill()
    assert postgres.processes() == valkey.processes() == []
    postgres.start()
    valkey.start()
    with psycopg.connect(servers.database_url(folder)) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)
    assert _client(folder).get("kept") == b"42"


@pytest.mark.slow
def test_postgres_starts_again_when_only_its_main_process_was_killed(folder: Path) -> None:
    server = PostgresServer(folder)
    server.start()
    before = server.pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    server.start()
    assert server.pid() not in {None, before}


@pytest.mark.slow
def test_lock_files_that_name_a_living_stranger_do_not_keep_postgres_from_starting(folder: Path) -> None:
    server = PostgresServer(folder)
    server.start()
    server.kill()
    stranger = f"{os.getpid()}\n{server.data}\n"
    (server.data / "postmaster.pid").write_text(stranger)
    (server.sockets / ".s.PGSQL.5432.lock").write_text(stranger)
    server.start()
    assert server.is_ready()


@pytest.mark.slow
def test_a_half_made_database_is_made_anew(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    PostgresServer(folder).start()
    assert not half.exists()


def test_a_database_of_another_version_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match="made by PostgreSQL 16"):
        PostgresServer(folder).start()


@pytest.mark.slow
def test_two_data_folders_have_servers_side_by_side(folder: Path, other_folder: Path) -> None:
    for one in (folder, other_folder):
        PostgresServer(one).start()
        ValkeyServer(one).start()
    _client(folder).set("where", "here")
    assert _client(other_folder).get("where") is None
    PostgresServer(folder).kill()
    ValkeyServer(folder).stop()
    assert PostgresServer(other_folder).is_ready()
    assert ValkeyServer(other_folder).is_ready()


def test_nothing_listens_but_a_socket_that_only_we_may_open(folder: Path) -> None:
    for server in (PostgresServer(folder), ValkeyServer(folder)):
        server.start()
        connections = []
        for process in server.processes():
            with suppress(psutil.NoSuchProcess):  # a child has ended meanwhile
                connections += process.net_connections(kind="inet")
        assert not connections
    assert stat.S_IMODE(socket_folder(folder).stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_long_or_unusual_path_gets_its_sockets_elsewhere(folder: Path) -> None:
    long = folder / ("x" * 100) / "with space"
    assert socket_folder(long).parent == Path("/tmp")
    ValkeyServer(long).start()
    assert _client(long).ping()
    ValkeyServer(long).stop()
    socket_folder(long).rmdir()


def test_a_socket_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    socket_folder(folder).mkdir(parents=True)
    socket_folder(folder).chmod(0o755)
    with pytest.raises(ServerError, match="nobody else may enter"):
        ValkeyServer(folder).start()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "valkey").mkdir(parents=True)
    (folder / "valkey" / "appendonlydir").write_text("not a folder")
    with pytest.raises(ServerError, match="ended while starting") as caught:
        ValkeyServer(folder).start()
    assert "appendonlydir" in str(caught.value)


@pytest.mark.parametrize("lock", ["servers.lock", "supervisor.lock", "1.lock"])
def test_a_data_folder_that_cannot_be_written_is_told(folder: Path, lock: str) -> None:
    (folder / lock).mkdir(parents=True)  # no file can be written there, not even by root
    users = {"servers.lock": locks.start_stop_lock, "supervisor.lock": only_supervisor, "1.lock": exclusive_test_folder}
    with pytest.raises(ServerError, match="cannot be written"), users[lock](folder):
        pass


def test_a_data_folder_that_cannot_be_made_is_told_by_the_tests_too(folder: Path) -> None:
    folder.mkdir()
    (folder / "a-file").touch()
    with pytest.raises(ServerError, match="cannot be made"), exclusive_test_folder(folder / "a-file" / "tests"):
        pass


def test_the_urls_are_known_without_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGSITE_DATA_DIR", str(folder))
    assert servers.data_folder() == folder
    assert servers.database_url() == f"postgresql://flagsite@/flagsite?host={folder}/sockets"
    assert servers.redis_url() == f"unix://{folder}/sockets/valkey.sock?db=0"
    assert not folder.exists()


def _client(folder: Path) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url(folder))
