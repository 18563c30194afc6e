"""The maintenance of the database: a job that vacuums tables, rebuilds indexes, and lets processes empty their caches.

PostgreSQL's autovacuum makes the space of old rows free for new rows. It does not make indexes smaller that have grown,
and it leaves the statistics of a table as they are that changes little. The weekly maintenance does both. It works on
one table at a time, and changes of the table go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import structlog
from psycopg import sql

from jobs.engine.kinds import job_kind
from jobs.engine.run import Run
from jobs.errors import PermanentFailure
from jobs.upkeep import tables
from jobs.upkeep.long_statement import execute, own_session
from orgs.audit import audit_log

log = structlog.get_logger(__name__)
KIND = "maintenance"
VACUUM, REINDEX, CACHE = "vacuum", "reindex", "cache"
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "actions": {
            "type": "array",
            "title": "Actions",
            "description": "vacuum frees the space of old rows and renews the planner's statistics; reindex rebuilds "
            "indexes; cache lets all processes read again what they cache.",
            "items": {"enum": [VACUUM, REINDEX, CACHE]},
            "minItems": 1,
            "uniqueItems": True,
            "default": [VACUUM, REINDEX],
        },
        "tables": {
            "type": "array",
            "title": "Tables",
            "description": "The tables to maintain. Without names: vacuum all tables, and reindex the large ones.",
            "items": {"enum": tables.our_tables()},
            "uniqueItems": True,
            "default": [],
        },
    },
    "additionalProperties": False,
}
STATEMENTS = {
    VACUUM: sql.SQL("VACUUM (ANALYZE) {}"),
    REINDEX: sql.SQL("REINDEX TABLE CONCURRENTLY {}"),
}
invalidate_caches: list[Callable[[], object]] = []
"""What the action `cache` calls. Apps above `jobs` add their caches."""


@job_kind(
    KIND,
    queue="maintenance",
    summary="Vacuum tables, rebuild indexes, and let processes empty their caches.",
    arguments=ARGUMENTS,
    unique_key=lambda arguments: KIND,
    concurrency_key=lambda organization_id, arguments: KIND,
)
def maintain(run: Run) -> None:
    """Maintain one table after the other. The checkpoint has the steps that are done, with the sizes for the result.

    A step that was interrupted is repeated. Raises PermanentFailure if the database user may not maintain a table.
    """
    actions: list[str] = run.job.arguments["actions"]
    with own_session() as session:
        steps = list(_steps(session, actions, run.job.arguments["tables"]))
        report: dict[str, Any] = dict(run.job.checkpoint or {"tables": [], "droppedIndexes": []})
        done = {(row["table"], row["action"]) for row in report["tables"]}
        run.record_progress(total=len(steps) + (CACHE in actions))
        for table, action in steps:
            if (table, action) not in done:
                run.check()
                _maintain(run, session, table, action, report)
    if CACHE in actions:
        for invalidate in invalidate_caches:
            invalidate()
        run.record_progress(processed=1)
    report["cachesInvalidated"] = CACHE in actions
    run.set_result(report)
    audit_log.record("database.maintained", f"job:{run.job.pk}", by=run.job.requested_by, actions=actions)


def _steps(session: psycopg.Connection[Any], actions: list[str], chosen: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each table with what is to be done with it. Raises PermanentFailure."""
    sizes = tables.sizes(session, chosen or tables.our_tables())
    names = {
        VACUUM: [size.table for size in sizes],
        REINDEX: [size.table for size in sizes if chosen or size.is_large],
    }
    needed = [name for action in actions for name in names.get(action, ())]
    refused = tables.not_maintainable(session, sorted(set(needed)))
    if refused:
        raise PermanentFailure(
            f"The database user {session.info.user!r} owns neither these tables, nor has the privilege MAINTAIN for "
            f"them: {', '.join(refused)}. Let DATABASE_URL (or DATABASE_DIRECT_URL) name the owner, or grant MAINTAIN "
            "(PostgreSQL 17 or later)."
        )
    for size in sizes:
        for action in (REINDEX, VACUUM):  # so that the vacuum visits indexes that are small already
            if action in actions and size.table in names[action]:
                yield size.table, action


def _maintain(run: Run, session: psycopg.Connection[Any], table: str, action: str, report: dict[str, Any]) -> None:
    """Carry out a step, and add it to the report and to the job's progress."""
    began = time.monotonic()
    before = tables.sizes(session, [table])[0]
    if action == REINDEX:
        for index in tables.leftovers(session, table):
            execute(run, session, sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.SQL(index)))
            report["droppedIndexes"].append(index)
    execute(run, session, STATEMENTS[action].format(sql.Identifier(table)))
    after = tables.sizes(session, [table])[0]
    report["tables"].append(
        {
            "table": table,
            "action": action,
            "tableBytes": {"before": before.table_bytes, "after": after.table_bytes},
            "indexBytes": {"before": before.index_bytes, "after": after.index_bytes},
            "seconds": round(time.monotonic() - began, 2),
        }
    )
    run.record_progress(processed=1, checkpoint=report)
    log.info("table_maintained", jobId=run.job.pk, table=table, action=action)
