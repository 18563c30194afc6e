"""Custom values that nothing names any more, which the clean-up deletes.

A custom value is in use while a setting, a former setting, a change or a flag state names its number. Indexes tell the
first three. Flag states have no index on the number, because their updates have to stay heap-only, so the clean-up
looks through them, some thousand organizations in a transaction, and only if there is something to delete.

A number gets into use again only by a set that gives an equal value, or by an undo. Both hold the row of the flag,
which the deletion locks before it asks once more. Whatever copies a number from a setting, such as a chunk of a
propagation, takes less time than a former setting stays, which is a day at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.values.variants import FIRST_CUSTOM_VALUE
from jobs.operations.cleanup import OldRows

MOST_CANDIDATES = 20_000
"""Custom values for which one look through the flag states is made."""
LOOKED_AT = 10_000
"""Organizations whose flag states one short transaction looks at."""
DELETED_AT_ONCE = 2000
"""Custom values that one short transaction deletes."""
IS_NAMED = " OR ".join(
    f"EXISTS (SELECT FROM {table} named WHERE named.flag_id = value.flag_id AND named.variant = value.id"
    f" AND named.variant >= {FIRST_CUSTOM_VALUE})"
    for table in ("flags_flagsetting", "flags_replacedsetting", "flags_change")
)
IS_UNNAMED = f"value.created_at < now() - %(days)s * interval '1 day' AND NOT ({IS_NAMED})"
COUNT = f"SELECT count(*) FROM flags_customvalue value WHERE {IS_UNNAMED}"  # noqa: S608 - no input in it
CANDIDATES = f"""
SELECT id, flag_id FROM flags_customvalue value WHERE id > %(after)s AND {IS_UNNAMED} ORDER BY id LIMIT %(most)s
"""  # noqa: S608 - no input in it
NAMED_BY_STATES = """
WITH place AS MATERIALIZED (SELECT id FROM orgs_organization WHERE id > %(after)s ORDER BY id LIMIT %(most)s)
SELECT (SELECT max(id) FROM place), ARRAY(
       SELECT DISTINCT state.variant FROM place, LATERAL (
              SELECT variant FROM flags_flagstate WHERE organization_id = place.id AND flag_id = ANY(%(flags)s) OFFSET 0
              ) state WHERE state.variant = ANY(%(numbers)s))
"""
LOCK_FLAGS = "SELECT id FROM flags_flag WHERE id = ANY(%(flags)s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
DELETE = f"""
DELETE FROM flags_customvalue value WHERE id = ANY(%(numbers)s) AND flag_id = ANY(%(flags)s) AND {IS_UNNAMED}
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Position:
    """Where a clean-up stands.

    `candidates` are the custom values that no flag state was found to name yet, by number with their flags. The flag
    states of the organizations up to `looked_at` are done; None means all of them. Later candidates begin after
    `up_to`; None means that there are none.
    """

    candidates: Mapping[int, int]
    looked_at: int | None
    up_to: int | None


def count_unused(days: int | None = None) -> int:
    """Return how many custom values a clean-up would delete now, at most: flag states may still name some of them."""
    return int(_row(COUNT, days=_days(days))[0])


def delete_some(position: Position | None, days: int | None = None) -> tuple[Position | None, int]:
    """Take the next step of a clean-up, in the caller's transaction: find, look at flag states, or delete.

    A custom value that is younger than `days` stays, or than a day. Values of flags that somebody is setting are left
    for the next clean-up. Returns the position for the next call, None at the end, and the number of deleted values.
    """
    if position is None:
        return _found(0, days), 0
    if not position.candidates:
        return (_found(position.up_to, days) if position.up_to is not None else None), 0
    if position.looked_at is not None:
        return _looked(position), 0
    numbers = sorted(position.candidates)
    now, later = numbers[:DELETED_AT_ONCE], numbers[DELETED_AT_ONCE:]
    deleted = _delete({number: position.candidates[number] for number in now}, days)
    return Position({number: position.candidates[number] for number in later}, None, position.up_to), deleted


def _found(after: int, days: int | None) -> Position | None:
    rows = _rows(CANDIDATES, after=after, most=MOST_CANDIDATES, days=_days(days))
    return Position(dict(rows), 0, rows[-1][0] if len(rows) == MOST_CANDIDATES else None) if rows else None


def _looked(position: Position) -> Position:
    last, named = _row(
        NAMED_BY_STATES, after=position.looked_at, most=LOOKED_AT,
        flags=sorted(set(position.candidates.values())), numbers=list(position.candidates),
    )  # fmt: skip
    left = {number: flag_id for number, flag_id in position.candidates.items() if number not in set(named)}
    return Position(left, last, position.up_to)


def _delete(values: Mapping[int, int], days: int | None) -> int:
    locked = [flag_id for (flag_id,) in _rows(LOCK_FLAGS, flags=sorted(set(values.values())))]
    with connection.cursor() as cursor:
        cursor.execute(DELETE, {"numbers": list(values), "flags": locked, "days": _days(days)})
        return cursor.rowcount


def _days(days: int | None) -> int:
    return max(1, days or 0)


def _row(statement: str, **parameters: Any) -> tuple[Any, ...]:
    return _rows(statement, **parameters)[0]


def _rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


UNUSED_CUSTOM_VALUES = OldRows("customValues", count_unused, delete_some)
