"""The statement that writes flag states that are given one by one, by organization and flag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from flags.states.setting_rules import DecidedValue

LOCK_VALUES = """
SELECT count(*) FROM (
    SELECT FROM flags_flagstate state
      JOIN unnest(%(organizations)s::bigint[], %(flags)s::bigint[]) AS given(organization_id, flag_id)
     USING (organization_id, flag_id) ORDER BY organization_id, flag_id FOR UPDATE OF state) locked
"""
WRITE_VALUES = """
INSERT INTO flags_flagstate AS state
       (organization_id, flag_id, enabled, source_id, change_number, locked, variant, updated_at)
SELECT organization_id, flag_id, enabled, source_id, number, locked, variant, statement_timestamp()
  FROM unnest(%(organizations)s::bigint[], %(flags)s::bigint[], %(enabled)s::boolean[], %(sources)s::bigint[],
              %(numbers)s::bigint[], %(locks)s::boolean[], %(variants)s::integer[])
           AS given(organization_id, flag_id, enabled, source_id, number, locked, variant)
 WHERE EXISTS (SELECT FROM flags_flag flag WHERE flag.id = given.flag_id AND NOT purging)
 ORDER BY organization_id, flag_id
    ON CONFLICT (organization_id, flag_id) DO UPDATE
   SET enabled = EXCLUDED.enabled, source_id = EXCLUDED.source_id, change_number = EXCLUDED.change_number,
       job_id = NULL, locked = EXCLUDED.locked, variant = EXCLUDED.variant, updated_at = EXCLUDED.updated_at
 WHERE state.change_number < EXCLUDED.change_number
"""


def write_values(values: Mapping[tuple[int, int], DecidedValue]) -> None:
    """Write flag states that are given one by one, by organization and flag, where their rows are missing or older.

    The caller's transaction has the tree lock exclusively, and tells the caches that the organizations have moved.
    """
    parameters: dict[str, Any] = {
        "organizations": [organization_id for organization_id, _ in values],
        "flags": [flag_id for _, flag_id in values],
        "enabled": [value.enabled for value in values.values()],
        "sources": [value.source_id for value in values.values()],
        "numbers": [value.number for value in values.values()],
        "locks": [value.locked for value in values.values()],
        "variants": [value.variant for value in values.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_VALUES, parameters)
        cursor.execute(WRITE_VALUES, parameters)
