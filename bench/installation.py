"""A Flagsite to measure: servers with durable settings in a data folder of its own, real web and worker processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import psycopg

from flagsite.development import servers
from flagsite.development.servers import orphaned_processes
from flagsite.development.servers.server_commands import web_command
from orgs.tree.locks import TREE_LOCK

ROOT = Path(__file__).resolve().parent.parent
BRANCHES = 20
"""Below the root; each branch has as many leaves as the size asks for."""
PATIENCE = 20  # seconds that a process has to stop in order


class Installation:
    """Servers, web and worker in `folder`; trees made by SQL; flags set over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres, self.valkey = servers.PostgresServer(folder), servers.ValkeyServer(folder)
        self.environment = {
            **os.environ,
            "FLAGSITE_DATA_DIR": str(folder),
            "FLAGSITE_ENVIRONMENT": "development",
            "RATE_LIMIT": "1000000/minute",
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "temporary"),  # where killed workers leave what they had there
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._leaders: list[orphaned_processes.SessionLeader] = []
        self.port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def start(self) -> None:
        """Start servers and web; make tables and a key."""
        rmtree(self.folder / "temporary", ignore_errors=True)
        (self.folder / "temporary").mkdir()
        self.postgres.start()
        self.valkey.start()
        self._manage("migrate", "--verbosity", "0")
        self.authorize()
        self.web = self.run(*web_command(self.port))
        for _ in range(200):
            with suppress(httpx.TransportError):
                if self.http.get("/organizations").status_code == 200:
                    return
            time.sleep(0.1)
        raise SystemExit("The web server does not answer.")

    def serve(self, application: str, port: int, **environment: str) -> subprocess.Popen[bytes]:
        """Another application on the same web server."""
        self.environment |= environment
        return self.run(*web_command(port)[:-1], application)

    def authorize(self) -> None:
        """Make a key and use it from now on; whoever empties the tables takes the keys along."""
        key = json.loads(self._manage("create_key", "bench", "--role", "admin", "--json"))["key"]
        self.http.headers["Authorization"] = f"Bearer {key}"

    def stop(self) -> None:
        """End everything."""
        for process in self.processes:
            process.terminate()
        for process in list(self.processes):
            self.end(process)
        orphaned_processes.forget_sessions(self.folder)
        self.valkey.stop()
        self.postgres.stop()

    @contextmanager
    def worker(self, concurrency: int = 1) -> Iterator[subprocess.Popen[bytes]]:
        """A fresh worker that has shown that it works."""
        process = self.run("celery", "-A", "flagsite", "worker", "--queues", "propagation,default",
                            "--without-mingle", "--concurrency", str(concurrency))  # fmt: skip
        try:
            self.plant(1, 1)
            self.flip(1)
            yield process
        finally:
            self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to stop, which then sees to its children and temporary files; kill whatever is left."""
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        self.kill(process)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(ValueError):  # it has ended before
            self.processes.remove(process)

    def sql(self, statement: str, parameters: Any = None) -> list[Any]:
        """Execute one statement on a connection of its own; its rows."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def seconds(self, statement: str, parameters: Any = None) -> float:
        """How long one statement takes, commit included."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            began = time.perf_counter()
            connection.execute(statement, parameters)
            return time.perf_counter() - began

    def plant(self, descendants: int, trees: int = 1) -> list[int]:
        """Replace all organizations by `trees` trees of three levels with so many below each root; the roots' ids."""
        branches = min(BRANCHES, descendants)
        leaves = max(0, descendants // branches - 1)
        with psycopg.connect(servers.database_url(self.folder)) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [TREE_LOCK])
            connection.execute(EMPTY)
            size = 1 + branches * (1 + leaves)
            for tree in range(trees):
                numbers = {"first": 1 + tree * size, "size": size, "tree": tree, "branches": branches, "leaves": leaves}
                connection.execute(PLANT_ROOT, numbers)
                connection.execute(PLANT_BELOW, numbers)
            connection.execute(NEXT_ID)
        for statement in ("VACUUM (ANALYZE) orgs_organization", "VACUUM (ANALYZE) flags_flagstate"):
            self.sql(statement)
        return [1 + tree * size for tree in range(trees)]

    def clear(self) -> None:
        """Leave neither organizations nor keys behind."""
        self.sql("TRUNCATE flags_flagstate, flags_change, jobs_job, jobs_jobfailure, jobs_deedtarget")
        self.sql("TRUNCATE orgs_organization, orgs_accesskey, orgs_staffscope")

    def ask(self, organization_id: int, enabled: bool) -> int:
        """Set the flag over HTTP; the job's id."""
        answer = self.http.post(f"/{organization_id}/bench/{str(enabled).lower()}")
        assert answer.status_code == 202, answer.text
        return int(answer.json()["jobId"])

    def wait(self, job_id: int) -> None:
        """Until the job has COMPLETED."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            while True:
                (status,) = connection.execute("SELECT status FROM jobs_job WHERE id = %s", [job_id]).fetchone() or (
                    "",
                )
                if status == "COMPLETED":
                    return
                assert status in {"PENDING", "IN_PROGRESS"}, status
                time.sleep(0.01)

    def flip(self, root: int, *, enabled: bool = True) -> float:
        """Seconds from the POST to COMPLETED."""
        began = time.perf_counter()
        self.wait(self.ask(root, enabled))
        return time.perf_counter() - began

    def python(self, program: str) -> str:
        """Run a program of ours in a process with the settings; what it prints."""
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "flagsite.settings"}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def _manage(self, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the environment's programs in a session of its own; it ends with the installation."""
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / program), *arguments],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        self._leaders.append(orphaned_processes.SessionLeader.now(process.pid))
        orphaned_processes.record_sessions(self.folder, self._leaders)
        return process


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


EMPTY = """
TRUNCATE flags_flagstate, flags_change, flags_flag, flags_flag_prerequisites, jobs_job, jobs_jobfailure,
         jobs_deedtarget;
SET LOCAL session_replication_role = replica;  -- nobody refers to them any more, and to look for each would take long
DELETE FROM orgs_organization;
SET LOCAL session_replication_role = origin;
SELECT pg_notify('flagsite_changes', '{"tree": 1}')
"""
NEXT_ID = "SELECT setval(pg_get_serial_sequence('orgs_organization', 'id'), max(id)) FROM orgs_organization"
PLANT_ROOT = """
INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, lft, rght)
SELECT %(first)s, 'Root', 'root-' || %(tree)s, NULL, %(tree)s + 1, 0, 1, 2 * %(size)s
"""
PLANT_BELOW = """
INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, lft, rght)
SELECT %(first)s + 1 + branch * (1 + %(leaves)s) + leaf, 'Organization',
       'o-' || %(tree)s || '-' || branch || '-' || leaf,
       CASE leaf WHEN 0 THEN %(first)s ELSE %(first)s + 1 + branch * (1 + %(leaves)s) END, %(tree)s + 1,
       CASE leaf WHEN 0 THEN 1 ELSE 2 END,
       2 + branch * (2 + 2 * %(leaves)s) + CASE leaf WHEN 0 THEN 0 ELSE 2 * leaf - 1 END,
       2 + branch * (2 + 2 * %(leaves)s) + CASE leaf WHEN 0 THEN 2 * %(leaves)s + 1 ELSE 2 * leaf END
  FROM generate_series(0, %(branches)s - 1) branch, generate_series(0, %(leaves)s) leaf
"""
