"""A real PgBouncer in transaction mode, and an installation whose processes reach PostgreSQL through it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from flagsite.development import servers
from flagsite.development.servers.postgres import AS_OTHER_USER
from flagsite.tests.crash.installation import Installation, eventually, free_port, kill_session

CONFIGURATION = """
[databases]
flagsite = host={sockets} dbname=flagsite user=flagsite

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
"""


def program() -> str:
    """PgBouncer; skips where there is none, unless FLAGSITE_REQUIRE_POOLER says that there must be one."""
    path = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        if os.environ.get("FLAGSITE_REQUIRE_POOLER"):
            raise RuntimeError("These tests need PgBouncer; apt-get install pgbouncer.")
        pytest.skip("no PgBouncer on this machine (on Debian: the package pgbouncer)")
    return path


class PgBouncer:
    """PgBouncer in transaction mode with so many connections to PostgreSQL."""

    def __init__(self, sockets: Path, *, pool_size: int) -> None:
        self.port = free_port()
        self.url = f"postgresql://flagsite@127.0.0.1:{self.port}/flagsite"
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(CONFIGURATION.format(sockets=sockets, port=self.port, pool_size=pool_size))
        command = [program(), str(configuration)]
        if os.geteuid() == 0:  # which PgBouncer refuses
            command = [sys.executable, "-I", "-S", str(AS_OTHER_USER), str(self._folder), *command]
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, cwd="/", start_new_session=True
        )
        eventually(self._answers, within=20)

    def stop(self) -> None:
        """End it."""
        kill_session(self._process)
        self._log.close()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)


class PooledInstallation(Installation):
    """An installation whose processes use PgBouncer with two places, and DATABASE_DIRECT_URL."""

    pooler: PgBouncer

    def start(self) -> None:
        """Start PgBouncer as soon as PostgreSQL runs, and all processes then."""
        program()
        self.environment |= {
            "REDIS_URL": servers.redis_url(self.folder),
            "DATABASE_DIRECT_URL": servers.database_url(self.folder),
        }
        super().start()
        self.start_worker()
        self.run("celery", "-A", "flagsite", "--quiet", "beat")

    def start_web(self) -> None:
        """Start PgBouncer, and the web server that reaches PostgreSQL through it."""
        self.pooler = PgBouncer(self.postgres.sockets, pool_size=2)
        self.environment["DATABASE_URL"] = self.pooler.url
        super().start_web()

    def stop(self) -> None:
        """End everything that was started."""
        super().stop()
        if hasattr(self, "pooler"):
            self.pooler.stop()
