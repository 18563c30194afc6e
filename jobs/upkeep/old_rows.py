"""What a clean-up deletes besides jobs: stored answers, sessions of people, and log files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from jobs.operations.cleanup import OldRows

BATCH_SIZE = 5_000
"""Rows that one short transaction deletes."""
OLD_ANSWERS = """
created_at < statement_timestamp() - COALESCE(%(days)s::int * interval '1 day', %(hours)s * interval '1 hour')
"""
OLD_SESSIONS = "expire_date < statement_timestamp() - COALESCE(%(days)s::int, 0) * interval '1 day'"
DELETE = """
DELETE FROM {table} WHERE {key} = ANY(ARRAY(
    SELECT {key} FROM {table} WHERE {is_old} ORDER BY {time} LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""


def _table(name: str, *, table: str, key: str, time: str, is_old: str) -> OldRows:
    """Return the old rows of a table that has an index on the column `time`."""

    def count(days: int | None) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE {is_old}", _parameters(days))  # noqa: S608
            return int(cursor.fetchone()[0])

    def delete_some(position: int | None, days: int | None) -> tuple[int | None, int]:
        with connection.cursor() as cursor:
            cursor.execute(DELETE.format(table=table, key=key, time=time, is_old=is_old), _parameters(days))
            deleted = cursor.rowcount
        return (position or 0) + 1 if deleted == BATCH_SIZE else None, deleted

    return OldRows(name, count, delete_some)


def _parameters(days: int | None) -> dict[str, Any]:
    return {"days": days, "hours": settings.IDEMPOTENCY_HOURS, "limit": BATCH_SIZE}


def old_log_files(days: int | None) -> Iterator[Path]:
    """Yield the rotated log files of LOG_FOLDER that nobody has written for LOG_KEEP_DAYS, or for `days`.

    A file such as `flagsite.log` stays, because a process may still write to it. So do folders and links.
    """
    if settings.LOG_FOLDER is None:
        return
    kept = settings.LOG_KEEP_DAYS if days is None else days
    for file in sorted(Path(settings.LOG_FOLDER).glob("*.log[.-]*")):
        if file.is_file() and not file.is_symlink() and time.time() - file.stat().st_mtime > kept * 86_400:
            yield file


def _delete_log_files(position: int | None, days: int | None) -> tuple[int | None, int]:
    files = list(old_log_files(days))
    for file in files:
        file.unlink(missing_ok=True)
    return None, len(files)


OLD_ROWS = (
    _table("answers", table="orgs_idempotentrequest", key="id", time="created_at", is_old=OLD_ANSWERS),
    _table("sessions", table="django_session", key="session_key", time="expire_date", is_old=OLD_SESSIONS),
    OldRows("logFiles", lambda days: sum(1 for _ in old_log_files(days)), _delete_log_files),
)
