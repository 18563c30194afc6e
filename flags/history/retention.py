"""The retention of history: the daily clean-up deletes what ended FLAG_HISTORY_KEEP_DAYS ago, and history begins later.

History begins at the moment up to which rows were deleted, so that nobody gets an answer from a part of them. A change
goes if another change of the same flag followed it on its organization before this moment, and its job is gone. So
every change stays that says who has made a setting that held since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from jobs.operations.cleanup import OldRows

BATCH_SIZE = 2000
"""Rows of a table that one short transaction checks."""
FOLLOWED = """
AND row.job_id IS NULL AND EXISTS (  -- index change_on_organization
    SELECT FROM flags_change next
     WHERE next.organization_id = row.organization_id AND next.flag_id = row.flag_id AND next.number > row.number
       AND next.created_at < %(begins_at)s)
"""
TABLES = (
    ("flags_replacedsetting", "replaced_at", ""),
    ("flags_formerplacement", "valid_until", ""),
    ("flags_formerdefinition", "valid_until", ""),
    ("flags_formersegment", "valid_until", ""),
    ("flags_change", "created_at", FOLLOWED),
)
"""The tables of history, each with the column that says when a row ended, and a further condition."""
DELETE_SOME = """
WITH batch AS MATERIALIZED (
    SELECT id FROM {table} WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
gone AS (
    DELETE FROM {table} row USING batch
     WHERE row.id = batch.id AND row.{ended} < %(begins_at)s {further} RETURNING TRUE)
SELECT max(id), count(*), (SELECT count(*) FROM gone) FROM batch
"""
COUNT = "SELECT count(*) FROM {table} row WHERE row.{ended} < %(begins_at)s {further}"
BEGIN = "SELECT now() - %(days)s * interval '1 day'"
MOVE_BEGIN = """
UPDATE flags_historybegin SET begins_at = GREATEST(begins_at, now() - %(days)s * interval '1 day') RETURNING begins_at
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a clean-up stands: the table, the last row that it has checked, and when history begins now."""

    table: int
    after: int
    begins_at: datetime


def count_old(days: int | None = None) -> int:
    """Return how many rows a clean-up would delete now, by FLAG_HISTORY_KEEP_DAYS or after `days`."""
    days = _days(days)
    if not days:
        return 0
    (begins_at,) = _row(BEGIN, days=days)
    return sum(
        _row(COUNT.format(table=table, ended=ended, further=further), begins_at=begins_at)[0]
        for table, ended, further in TABLES
    )


def delete_batch(position: Position | None, days: int | None = None) -> tuple[Position | None, int]:
    """Delete the old rows of one batch. The first call, without a position, moves the begin of history.

    Returns the position for the next call, None at the end, and the number of deleted rows.
    """
    if position is None:
        days = _days(days)
        begin = _row(MOVE_BEGIN, days=days) if days else None
        return (Position(0, 0, begin[0]) if begin else None), 0
    table, ended, further = TABLES[position.table]
    statement = DELETE_SOME.format(table=table, ended=ended, further=further)
    last, checked, deleted = _row(statement, after=position.after, limit=BATCH_SIZE, begins_at=position.begins_at)
    if checked == BATCH_SIZE:
        return Position(position.table, last, position.begins_at), deleted
    following = position.table + 1
    return (Position(following, 0, position.begins_at) if following < len(TABLES) else None), deleted


def _days(days: int | None) -> int:
    return int(settings.FLAG_HISTORY_KEEP_DAYS if days is None else days)


def _row(statement: str, **parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


OLD_HISTORY = OldRows("history", count_old, delete_batch)
