"""The maintenance of the database: bloat goes, broken rebuilds are cleared away, and others are not in its way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection
from django_celery_beat.models import PeriodicTask

from flagsite.core.adapters.django_orm import direct_parameters
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.runner import run_next
from jobs.engine.states import Status
from jobs.errors import InvalidJobArguments
from jobs.operations import job_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import before_each
from jobs.upkeep import long_statement, tables

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "orgs_idempotentrequest"
FILL = f"""
INSERT INTO {TABLE} (caller, key, fingerprint, headers, created_at)
SELECT 'key:' || n, 'key-' || md5(n::text), repeat('x', 64), '{{}}', now() FROM generate_series(1, %s) n
"""


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def bloated(rows: int = 3000) -> None:
    """Let the table have had many rows of which none is left."""
    sql(FILL, rows)
    sql(f"DELETE FROM {TABLE}")


def maintained(**arguments: Any) -> Job:
    """Run a maintenance to its end; returns its job."""
    job = enqueue(kind="maintenance", arguments=arguments, by="user:olga").job
    assert run_next("maintenance") is not None
    job.refresh_from_db()
    return job


def row_of(job: Job, action: str) -> dict[str, Any]:
    (row,) = [row for row in job.result["tables"] if (row["table"], row["action"]) == (TABLE, action)]
    return row


@pytest.fixture
def other() -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody else."""
    with psycopg.connect(**direct_parameters()) as session:
        yield session


def test_a_vacuum_gives_back_the_space_of_deleted_rows() -> None:
    bloated()
    job = maintained(actions=["vacuum"], tables=[TABLE])
    assert job.status == Status.COMPLETED, job.error_message
    size = row_of(job, "vacuum")["tableBytes"]
    assert size["before"] > 400_000
    assert size["after"] < 100_000
    assert (job.processed, job.total) == (1, 1)


def test_a_rebuild_makes_grown_indexes_small_again() -> None:
    bloated()
    job = maintained(actions=["reindex"], tables=[TABLE])
    size = row_of(job, "reindex")["indexBytes"]
    assert size["before"] > 10 * size["after"]


def test_without_names_all_tables_are_vacuumed_and_large_ones_are_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE_BYTES", 400_000)
    bloated()
    job = maintained()
    assert job.status == Status.COMPLETED, job.error_message
    assert {row["table"] for row in job.result["tables"] if row["action"] == "vacuum"} == set(tables.our_tables())
    assert TABLE in {row["table"] for row in job.result["tables"] if row["action"] == "reindex"}
    assert "auth_group" not in {row["table"] for row in job.result["tables"] if row["action"] == "reindex"}
    assert job.processed == job.total == len(job.result["tables"])


def test_what_a_broken_rebuild_has_left_behind_is_dropped_first() -> None:
    index = f"{TABLE}_key_ccnew1"
    sql(f"CREATE INDEX {index} ON {TABLE} (key)")
    sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", index)
    sql(f"CREATE INDEX of_somebody_ccnew ON {TABLE} (key)")  # a valid one, whatever its name
    try:
        job = maintained(actions=["reindex"], tables=[TABLE])
        assert job.result["droppedIndexes"] == [f"public.{index}"]
        assert job.status == Status.COMPLETED, job.error_message
        with connection.cursor() as cursor:
            cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '_ccnew'")
            assert [name for (name,) in cursor.fetchall()] == ["of_somebody_ccnew"]
    finally:
        sql("DROP INDEX IF EXISTS of_somebody_ccnew")
        sql(f"DROP INDEX IF EXISTS {index}")


def test_a_user_who_does_not_own_the_tables_gets_a_failure_that_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sql("CREATE ROLE stranger LOGIN")
    try:
        stranger = {**direct_parameters(), "user": "stranger"}
        monkeypatch.setattr(long_statement, "direct_parameters", lambda: stranger)
        job = maintained(actions=["vacuum"], tables=[TABLE])
        assert job.status == Status.FAILED
        assert "'stranger' owns neither these tables" in str(job.error_message)
        assert TABLE in str(job.error_message)
        assert not Job.objects.filter(parent_job=job).exists()
    finally:
        sql("DROP ROLE stranger")


def test_a_cancelled_maintenance_cancels_the_statement_that_waits(
    other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_statement, "CHECK_SECONDS", 0.01)
    other.execute(f"LOCK TABLE {TABLE} IN SHARE MODE")  # VACUUM waits for it
    job = enqueue(kind="maintenance", arguments={"actions": ["vacuum"], "tables": [TABLE]}).job
    waits = threading.Event()

    def cancel_once(run: Run) -> None:
        if is_waiting(other) and not waits.is_set():
            waits.set()
            job_operations.cancel(job_id=job.pk, by="user:bob")

    with before_each("reload", cancel_once):
        run_next("maintenance")
    job.refresh_from_db()
    assert waits.is_set()
    assert job.status == Status.CANCELLED
    assert not is_waiting(other)


def is_waiting(session: psycopg.Connection[Any]) -> bool:
    session.execute("SELECT pg_stat_clear_snapshot()")
    row = session.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM%' AND state = 'active'"
    ).fetchone()
    return row is not None and row[0] > 0


def test_a_maintenance_that_fails_is_tried_again_as_a_whole() -> None:
    job = enqueue(kind="maintenance", arguments={"actions": ["vacuum", "reindex"], "tables": [TABLE]}).job
    done: list[str] = []

    def die_before_the_second(run: Run, **values: Any) -> None:
        done.append("step")
        if len(done) == 3:  # the total, the first step, and now the second
            raise OSError

    with before_each("record_progress", die_before_the_second):
        run_next("maintenance")
    retry = Job.objects.get(parent_job=job)
    Job.objects.filter(pk=retry.pk).update(run_at="2000-01-01T00:00:00Z")
    run_next("maintenance")
    retry.refresh_from_db()
    assert retry.status == Status.COMPLETED, retry.error_message
    assert [row["action"] for row in retry.result["tables"]] == ["reindex", "vacuum"]


def test_one_maintenance_is_open_at_a_time() -> None:
    first = enqueue(kind="maintenance")
    again = enqueue(kind="maintenance", arguments={"actions": ["cache"]})
    assert (again.job, again.is_deduplicated) == (first.job, True)


def test_the_caches_of_all_processes_are_read_again(other: psycopg.Connection[Any]) -> None:
    other.autocommit = True
    other.execute("LISTEN flagsite_changes")
    job = maintained(actions=["cache"])
    assert (job.status, job.result["cachesInvalidated"], job.processed) == (Status.COMPLETED, True, 1)
    assert len(list(other.notifies(timeout=5, stop_after=3))) == 3


@pytest.mark.parametrize("arguments", [{"actions": []}, {"actions": ["drop"]}, {"tables": ["pg_class"]}])
def test_other_actions_and_tables_of_others_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobArguments):
        enqueue(kind="maintenance", arguments=arguments)


def test_beat_enqueues_it_every_week() -> None:
    import_module("jobs.migrations.0024_weekly_maintenance").create_task(apps, None)
    task = PeriodicTask.objects.get(name="maintain the database")
    assert (task.task, json.loads(task.kwargs)) == ("jobs.enqueue", {"kind": "maintenance"})
    assert task.crontab is not None
    assert (task.crontab.day_of_week, task.crontab.hour) == ("0", "3")
