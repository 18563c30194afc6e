"""The demo's data moves from an old installation to the newest version, and everybody reads the same afterwards.

`old_installation.json.xz` has the rows of a real installation, from the last version with dense numbers in the nested
set: the demo's data, then 60 random changes of the tree and of flags, a tree of its own, an organization that became a
root, a cancelled propagation and one that still waits. It also says what clients of that installation read.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql
from pytest_django import DjangoDbBlocker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OLD: dict[str, Any] = json.loads(lzma.decompress((Path(__file__).parent / "old_installation.json.xz").read_bytes()))
NAME = f"old_installation_{os.getpid()}"
EVERY = 50
"""The reads are those of every fiftieth organization."""
SETUP = "import django, json; django.setup(); from django.core.management import call_command\n"
ROWS = {
    "tree": "SELECT id, key, name, parent_id, level FROM orgs_organization ORDER BY tree_id, lft",
    "states": "SELECT organization_id, flag_id, enabled, source_id, change_number FROM flags_flagstate ORDER BY 1, 2",
    "changes": "SELECT id, number, flag_id, organization_id, enabled, source_id FROM flags_change ORDER BY id",
    "flags": "SELECT id, key, description FROM flags_flag ORDER BY id",
    "jobs": "SELECT id, kind, status, organization_id, processed, total FROM jobs_job ORDER BY id",
    "audit log": "SELECT id, action, subject, at FROM orgs_historyentry ORDER BY id",
}
WAITING = "SELECT id, organization_id FROM jobs_job WHERE kind = 'propagation' AND status = 'PENDING'"
BELOW = """
WITH RECURSIVE below AS (
    SELECT %(top)s::bigint AS id UNION ALL
    SELECT organization.id FROM below JOIN orgs_organization organization ON organization.parent_id = below.id)
SELECT DISTINCT state.enabled, state.source_id
  FROM below LEFT JOIN flags_flagstate state ON state.organization_id = below.id
   AND state.flag_id = (SELECT flag_id FROM flags_change WHERE job_id = %(job)s)
"""


class Upgrade:
    """A database of its own on the server of the tests."""

    def __init__(self, server: dict[str, Any]) -> None:
        place = urlencode({name: server[name] for name in ("host", "port", "user", "password") if server.get(name)})
        self.url = f"postgresql:///{NAME}?{place}"

    def run(self, program: str) -> Any:
        """Run a program in a process of its own with this database. Returns the JSON that it prints last."""
        environment = os.environ | {
            "DATABASE_URL": self.url, "REDIS_URL": settings.REDIS_URL, "SECRET_KEY": settings.SECRET_KEY,
            "DJANGO_SETTINGS_MODULE": "flagsite.settings", "FLAGSITE_ENVIRONMENT": "development",
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        command = [sys.executable, "-c", SETUP + program]
        done = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None

    def rows(self, statement: str, parameters: Any = None) -> list[Any]:
        """The rows of a query."""
        with psycopg.connect(self.url) as connected:
            return connected.execute(statement, parameters).fetchall()

    def load(self) -> None:
        """Put the rows of the old installation in place of those that its migrations have made."""
        with psycopg.connect(self.url) as connected, connected.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # no triggers: the rows are as they were
            for table, content in OLD["tables"].items():
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                columns = sql.SQL(content["columns"])
                with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)) as copy:
                    copy.write(content["rows"])
            for sequence, value in OLD["sequences"].items():
                cursor.execute("SELECT setval(%s::regclass, %s)", [sequence, value])


READ_AND_GO_ON = f"""
from flagsite.tests.upgrade.reading import reads
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations.enqueue import enqueue
from orgs.tree import tree_operations
from orgs.tree.models import Organization

read = reads({EVERY})
while runner.run_next("propagation"):
    pass
leaf = Organization.objects.filter(descendant_count=0).first()
tree_operations.move(organization_id=leaf.pk, parent_id=Organization.objects.get(key="second-b").pk)
job = enqueue(kind="recalculation", arguments={{"dryRun": True}}, by="command:tests").job
while runner.run_next("propagation"):
    pass
call_command("check_tree")
print(json.dumps({{"reads": read, "totals": Job.objects.get(pk=job.pk).result["totals"]}}))
"""
"""The reads; then the waiting propagation ends, the tree changes, and a recalculation looks for wrong flag states."""


@pytest.fixture(scope="module")
def old(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Upgrade]:
    """The old installation in a database of its own, before the upgrade."""
    with django_db_blocker.unblock():
        server = {**connection.get_connection_params()}
    upgrade = Upgrade(server)
    with psycopg.connect(upgrade.url, dbname="postgres", autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {NAME}")
        try:
            steps = [
                f"call_command('migrate', {app!r}, {name!r}, verbosity=0)" for app, name in OLD["migrations"].items()
            ]
            upgrade.run("\n".join(steps))
            upgrade.load()
            yield upgrade
        finally:
            maintenance.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def test_tree_rows_and_reads_are_the_same_after_the_upgrade(old: Upgrade) -> None:
    before = {name: old.rows(statement) for name, statement in ROWS.items()}
    old.run("call_command('migrate', verbosity=0)")
    after = {name: old.rows(statement) for name, statement in ROWS.items()}
    assert {name for name in ROWS if after[name] != before[name]} == set()
    [(waiting_id, waiting_top)] = old.rows(WAITING)
    seen = old.run(READ_AND_GO_ON)
    assert seen["reads"] == OLD["reads"]
    assert old.rows("SELECT status FROM jobs_job WHERE id = %s", [waiting_id]) == [("COMPLETED",)]
    assert old.rows(BELOW, {"top": waiting_top, "job": waiting_id}) == [(False, waiting_top)]
    undecided = seen["totals"].pop("undecided")  # below the cancelled propagation
    assert set(seen["totals"].values()) == {0}
    assert undecided < len(before["states"]) / 10
