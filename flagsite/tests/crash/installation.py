"""A whole Flagsite of its own: servers in a temporary folder, web and worker as processes that a test may kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from flagsite.development import servers
from flagsite.development.servers import template_data
from flagsite.development.servers.server_commands import web_command, worker_command
from orgs.tree.locks import TREE_LOCK

CHECKOUT = Path(__file__).resolve().parents[3]
LEASE, SWEEP = 3.0, 1.0
TABLES = "flags_flag, flags_flagstate, flags_flagsetting, flags_change, flags_flagschedule, jobs_batch, jobs_job"
HISTORY = "flags_replacedsetting, flags_formerplacement, flags_formerdefinition, flags_segment, flags_formersegment"
EMPTY = f"TRUNCATE {TABLES}, {HISTORY}, jobs_jobfailure CASCADE"
"""What tests that share an installation leave behind."""


class Installation:
    """Servers, web, workers; and what a test wants to know of the rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = servers.PostgresServer(folder)
        self.valkey = servers.ValkeyServer(folder)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}},
            "FLAGSITE_DATA_DIR": str(folder),
            "FLAGSITE_ENVIRONMENT": "development",
            "DJANGO_SETTINGS_MODULE": "flagsite.settings",
            "PYTHONPATH": str(CHECKOUT),
            "JOB_LEASE_SECONDS": str(LEASE),
            "JOB_SWEEP_SECONDS": str(SWEEP),
            "RATE_LIMIT": "1000000/minute",
            "LOG_FORMAT": "json",
            "TMPDIR": str(folder),  # where killed workers leave what they had there
        }
        self.port = free_port()
        self.key = ""
        self.web_workers = 1
        self.web: subprocess.Popen[bytes] | None = None

    # --- start and stop ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start servers and web, on a copy of the data that bin/test has prepared."""
        made = Path(os.environ[template_data.VARIABLE])
        template_data.copy_template(made, self.folder)
        self.key = json.loads((made / template_data.ACCESS_KEY_FILE).read_text())["key"]
        self.postgres.start()
        self.valkey.start()
        self.start_web()

    def start_web(self) -> None:
        """Start the web server, and wait until it answers."""
        self.web = self.run(*web_command(self.port, workers=self.web_workers))
        eventually(lambda: self.get("/organizations").status_code == 200, within=30)

    def stop(self) -> None:
        """End everything that was started."""
        for process in self.processes:
            kill_session(process)
        self.valkey.stop()
        self.postgres.stop()

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.environment, check=True, stdout=subprocess.PIPE, timeout=120
        )
        return done.stdout.decode()

    def run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the environment's programs in a session of its own."""
        with (self.folder / f"{program}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / program), *arguments],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log_of(self, process: subprocess.Popen[bytes]) -> Path:
        """What one of them has written."""
        name = Path(str(process.args[0])).name
        return self.folder / f"{name}-{self.processes.index(process)}.log"

    def start_worker(self, concurrency: int = 2, *more: str) -> subprocess.Popen[bytes]:
        """Start a worker, with further options; returns before it is ready."""
        return self.run(*worker_command(concurrency=concurrency, name=f"w{len(self.processes)}"), *more)

    # --- the API ------------------------------------------------------------------------------------------------------

    def get(self, path: str) -> httpx.Response:
        return self._call("GET", path)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self._call("POST", path, **more)

    def patch(self, path: str, **more: Any) -> httpx.Response:
        return self._call("PATCH", path, **more)

    def delete(self, path: str) -> httpx.Response:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        with contextlib.suppress(httpx.ConnectError):
            return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=20, **more)
        return httpx.Response(599)

    def set_flag(self, organization_id: int, flag: str, enabled: bool) -> int:
        """Set a flag on a parent over HTTP; returns the job's id."""
        answer = self.post(f"/{organization_id}/{flag}/{str(enabled).lower()}")
        assert answer.status_code == 202, answer.text
        return int(answer.json()["jobId"])

    # --- the rows -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(servers.database_url(self.folder), autocommit=True) as connection:
            yield connection

    def sql(self, statement: str, parameters: Any = None) -> list[Any]:
        """Execute one statement and return its rows."""
        with self.connection() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def plant_tree(self, branches: int, leaves: int) -> int:
        """Make a root with `branches` children of `leaves` each instead of what was there; returns the root's id."""
        size = 1 + branches * (1 + leaves)
        with self.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [TREE_LOCK])
            connection.execute(EMPTY)
            connection.execute("DELETE FROM orgs_organization")  # not TRUNCATE, which would take the keys along
            connection.execute(f"TRUNCATE {HISTORY}")  # the new organizations have the same ids
            connection.execute(
                """
                INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, descendant_count, lft, rght)
                SELECT 1, 'Root', 'root', NULL, 1, 0, %(size)s - 1, 1, %(size)s * 2
                """,
                {"size": size},
            )
            connection.execute(
                """
                INSERT INTO orgs_organization (id, name, key, parent_id, tree_id, level, descendant_count, lft, rght)
                SELECT 2 + branch * (1 + %(leaves)s) + leaf, 'Organization', 'o' || branch || '-' || leaf,
                       CASE leaf WHEN 0 THEN 1 ELSE 2 + branch * (1 + %(leaves)s) END, 1,
                       CASE leaf WHEN 0 THEN 1 ELSE 2 END, CASE leaf WHEN 0 THEN %(leaves)s ELSE 0 END,
                       2 + branch * (2 + 2 * %(leaves)s) + CASE leaf WHEN 0 THEN 0 ELSE 2 * leaf - 1 END,
                       2 + branch * (2 + 2 * %(leaves)s)
                         + CASE leaf WHEN 0 THEN 2 * %(leaves)s + 1 ELSE 2 * leaf END
                  FROM generate_series(0, %(branches)s - 1) branch, generate_series(0, %(leaves)s) leaf
                """,
                {"branches": branches, "leaves": leaves},
            )
            connection.execute(
                "SELECT setval(pg_get_serial_sequence('orgs_organization', 'id'), max(id)) FROM orgs_organization"
            )
        return 1

    def branch(self, number: int, leaves: int) -> int:
        """The id of a planted branch."""
        return 2 + number * (1 + leaves)

    def slow_down(self, seconds: float, table: str = "flags_flagstate") -> None:
        """Make every statement that writes flag states, or another table, take so long: there is a middle to hit."""
        self.sql(
            f"""
            CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
            CREATE OR REPLACE TRIGGER take_time AFTER INSERT OR UPDATE OR DELETE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION take_time()
            """
        )

    def speed_up(self) -> None:
        """Undo `slow_down`."""
        self.sql("DROP FUNCTION IF EXISTS take_time CASCADE")

    def job(self, job_id: int) -> dict[str, Any]:
        """The job as the API shows it."""
        answer = self.get(f"/job-status/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def processed(self, job_id: int) -> int:
        return int(self.sql("SELECT processed FROM jobs_job WHERE id = %s", [job_id])[0][0])

    def wait_until_written(self, job_id: int, at_least: int) -> None:
        """Wait until the job has written so many organizations, and see that it is not done."""
        eventually(lambda: self.processed(job_id) >= at_least, within=30)
        assert self.status(job_id) == "IN_PROGRESS"

    def status(self, job_id: int) -> str:
        return str(self.sql("SELECT status FROM jobs_job WHERE id = %s", [job_id])[0][0])

    def chain_statuses(self, job_id: int) -> list[str]:
        """How each attempt of the chain ended by itself, oldest first; its status if it is open."""
        rows = self.sql(
            "SELECT COALESCE(NULLIF(ended_as, ''), status) FROM jobs_job"
            " WHERE id = %s OR parent_job_id = %s ORDER BY id",
            [job_id, job_id],
        )
        return [status for (status,) in rows]

    def chain_ended(self, job_id: int) -> bool:
        return self.status(job_id) in {"COMPLETED", "FAILED", "CANCELLED"}

    def all_ended(self) -> bool:
        open_ones = "SELECT count(*) FROM jobs_job WHERE status IN ('PENDING', 'IN_PROGRESS', 'RETRYING')"
        return self.sql(open_ones) == [(0,)]

    def values(self, flag: str) -> set[tuple[bool, int]]:
        """Every (value, source) that any organization has, None for one without a row."""
        return set(
            self.sql(
                """
                SELECT state.enabled, state.source_id FROM orgs_organization organization
                  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id
                   AND state.flag_id = (SELECT id FROM flags_flag WHERE key = %s)
                """,
                [flag],
            )
        )


def eventually(condition: Callable[[], object], *, within: float) -> float:
    """Wait until the condition holds; returns after how many seconds. Fails the test after `within`."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        with contextlib.suppress(psycopg.OperationalError):
            if condition():
                return time.monotonic() - began
        time.sleep(0.05)
    pytest.fail(f"not within {within} s")


def kill_session(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to a process and all its children, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    if number == signal.SIGKILL:
        process.wait(timeout=10)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
