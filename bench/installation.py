"""The installation that benchmarks measure: durable servers in a data folder of its own, real web and worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import psycopg

from flagsite.development import servers
from flagsite.development.servers import orphaned_processes
from flagsite.development.servers.server_commands import web_command, worker_command
from orgs.tree.locks import ALL_TREES_FOR_WRITING

ROOT = Path(__file__).resolve().parent.parent
BRANCHES = 20
"""The number of organizations directly below a root. All other organizations are leaves below these."""
STOP_TIMEOUT_SECONDS = 20
STALL_SECONDS = 300
"""If what a benchmark waits for does not change for so long, it does not come any more."""


class Installation:
    """Servers, web and worker in `folder`. SQL creates the trees, and HTTP requests set the flags."""

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
            "TMPDIR": str(folder / "temporary"),  # killed workers leave files there
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._leaders: list[orphaned_processes.SessionLeader] = []
        self.port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def start(self) -> None:
        """Start the servers and web, and create the tables and an access key."""
        rmtree(self.folder / "temporary", ignore_errors=True)
        (self.folder / "temporary").mkdir()
        self.postgres.start()
        self.valkey.start()
        self.manage("migrate", "--verbosity", "0")
        self.authorize()
        self.web = self.run(*web_command(self.port))
        for _ in range(200):
            with suppress(httpx.TransportError):
                if self.http.get("/organizations").status_code == 200:
                    return
            time.sleep(0.1)
        raise SystemExit("The web server does not answer.")

    def serve(self, application: str, port: int, **environment: str) -> subprocess.Popen[bytes]:
        """Start a web server with this application; `environment` has more environment variables for it."""
        self.environment |= environment
        return self.run(*web_command(port, application=application))

    def authorize(self) -> None:
        """Create an access key and use it from now on. This is necessary after the tables were emptied."""
        key = json.loads(self.manage("create_key", "bench", "--role", "admin", "--json"))["key"]
        self.http.headers["Authorization"] = f"Bearer {key}"

    def stop(self) -> None:
        """End all processes and servers."""
        for process in self.processes:
            process.terminate()
        for process in list(self.processes):
            self.end(process)
        orphaned_processes.forget_sessions(self.folder)
        self.valkey.stop()
        self.postgres.stop()

    @contextmanager
    def worker(
        self, concurrency: int = 1, *, include: str = "", keep: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a new worker. It has completed a job before the block begins.

        `include` is a module with kinds of jobs. With `keep`, the organizations and jobs stay, and the worker may
        still start.
        """
        celery = ["celery", "-A", "flagsite", "worker", "--concurrency", str(concurrency), "--include", include]
        process = self.run(*(celery if include else worker_command(concurrency=concurrency)))
        try:
            if not keep:
                self.create_trees(1, 1)
                self.flip(1)
            yield process
        finally:
            self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to stop, so that it ends its children and deletes its files. Then kill the rest."""
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_SECONDS)
        self.kill(process)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(ValueError):  # it has ended already
            self.processes.remove(process)

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        return servers.database_url(self.folder)

    def sql(self, statement: str, parameters: Any = None) -> list[Any]:
        """Execute one statement on a new connection. Returns its rows."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def seconds(self, statement: str, parameters: Any = None) -> float:
        """Execute one statement. Returns its seconds, including the commit."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            began = time.perf_counter()
            connection.execute(statement, parameters)
            return time.perf_counter() - began

    def create_trees(self, descendants: int, trees: int = 1) -> list[int]:
        """Replace all organizations by trees of three levels with `descendants` each. Returns the roots' ids."""
        branches = min(BRANCHES, descendants)
        leaves = max(0, descendants // branches - 1)
        with psycopg.connect(servers.database_url(self.folder)) as connection:
            connection.execute(ALL_TREES_FOR_WRITING)
            connection.execute(EMPTY_TABLES)
            size = 1 + branches * (1 + leaves)
            for tree in range(trees):
                numbers = {"first": 1 + tree * size, "size": size, "tree": tree, "branches": branches, "leaves": leaves}
                connection.execute(INSERT_ROOT, numbers)
                connection.execute(INSERT_DESCENDANTS, numbers)
            connection.execute(NEXT_ID)
        for statement in ("VACUUM (ANALYZE) orgs_organization", "VACUUM (ANALYZE) flags_flagstate"):
            self.sql(statement)
        return [1 + tree * size for tree in range(trees)]

    def clear(self) -> None:
        """Delete all organizations, jobs and access keys."""
        self.sql("TRUNCATE flags_flagstate, flags_flagsetting, flags_change, flags_replacedsetting CASCADE")
        self.sql("TRUNCATE flags_formerplacement, flags_formerdefinition")
        self.sql("TRUNCATE jobs_job, jobs_jobfailure, jobs_deedtarget CASCADE")
        self.sql("TRUNCATE orgs_organization, orgs_accesskey, orgs_staffscope CASCADE")

    def set_flag(self, organization_id: int, enabled: bool) -> int:
        """Set the flag over HTTP. Returns the id of the job."""
        answer = self.http.post(f"/{organization_id}/bench/{str(enabled).lower()}")
        assert answer.status_code == 202, answer.text
        return int(answer.json()["jobId"])

    def wait(self, job_id: int) -> None:
        """Wait until the job is COMPLETED."""
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            while True:
                (status,) = connection.execute("SELECT status FROM jobs_job WHERE id = %s", [job_id]).fetchone() or (
                    "",
                )
                if status == "COMPLETED":
                    return
                assert status in {"PENDING", "IN_PROGRESS"}, status
                time.sleep(0.01)

    def until(self, is_reached: Callable[[list[Any]], bool], statement: str, parameters: Any = None) -> None:
        """Wait until the rows of the statement are as they should be.

        Raises TimeoutError, with the rows, if they have not changed for STALL_SECONDS. So a benchmark whose jobs fail
        ends and says so.
        """
        rows, changed_at = self.sql(statement, parameters), time.monotonic()
        while not is_reached(rows):
            if time.monotonic() > changed_at + STALL_SECONDS:
                raise TimeoutError(f"Nothing has changed for {STALL_SECONDS} s: {rows}")
            time.sleep(0.1)
            now = self.sql(statement, parameters)
            rows, changed_at = now, time.monotonic() if now != rows else changed_at

    def flip(self, root: int, *, enabled: bool = True) -> float:
        """Set the flag and wait for the job. Returns the seconds from the POST to COMPLETED."""
        began = time.perf_counter()
        self.wait(self.set_flag(root, enabled))
        return time.perf_counter() - began

    def python(self, program: str) -> str:
        """Run a Python program in a process with Flagsite's settings. Returns its output."""
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "flagsite.settings"}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py. Returns its output."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a program of `.venv` in a session of its own. It ends with the installation."""
        return self.launch([str(Path(sys.executable).parent / program), *arguments], log_name=program)

    def launch(self, command: list[str], *, log_name: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start any program in a session of its own. It ends with the installation."""
        with (self.folder / f"{log_name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment | environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        self._leaders.append(orphaned_processes.SessionLeader.now(process.pid))
        orphaned_processes.record_sessions(self.folder, self._leaders)
        return process


def free_port() -> int:
    """A port on which no process listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


EMPTY_TABLES = """
TRUNCATE flags_flagstate, flags_flagsetting, flags_change, flags_flag, flags_flag_prerequisites, jobs_job,
         flags_replacedsetting, flags_formerplacement, flags_formerdefinition, flags_segment, flags_formersegment,
         jobs_jobfailure, jobs_deedtarget, orgs_organizationattribute CASCADE;
SET LOCAL session_replication_role = replica;  -- no row refers to them, and the check of each foreign key is slow
DELETE FROM orgs_organization;
SET LOCAL session_replication_role = origin;
SELECT pg_notify('flagsite_changes', '{"tree": 1}')
"""
NEXT_ID = "SELECT setval(pg_get_serial_sequence('orgs_organization', 'id'), max(id)) FROM orgs_organization"
INSERT_ROOT = """
INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, descendant_count, lft, rght)
SELECT %(first)s, 'Root', 'root-' || %(tree)s, NULL, %(tree)s + 1, 0, %(size)s - 1,
       1::bigint << 31, (2 * %(size)s)::bigint << 31
"""
INSERT_DESCENDANTS = """
INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, descendant_count, lft, rght)
SELECT %(first)s + 1 + branch * (1 + %(leaves)s) + leaf, 'Organization',
       'o-' || %(tree)s || '-' || branch || '-' || leaf,
       CASE leaf WHEN 0 THEN %(first)s ELSE %(first)s + 1 + branch * (1 + %(leaves)s) END, %(tree)s + 1,
       CASE leaf WHEN 0 THEN 1 ELSE 2 END, CASE leaf WHEN 0 THEN %(leaves)s ELSE 0 END,
       (2 + branch * (2 + 2 * %(leaves)s) + CASE leaf WHEN 0 THEN 0 ELSE 2 * leaf - 1 END)::bigint << 31,
       (2 + branch * (2 + 2 * %(leaves)s) + CASE leaf WHEN 0 THEN 2 * %(leaves)s + 1 ELSE 2 * leaf END)::bigint << 31
  FROM generate_series(0, %(branches)s - 1) branch, generate_series(0, %(leaves)s) leaf
"""
