"""The flags' definitions as evaluation needs them, read from the database."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from flags.evaluation.engine import Definition, Unit
from flags.evaluation.rollout import threshold

ALL = """
SELECT id, key, enabled, rollout_percentage, salt, hash_version, rollout_unit, rollout_level, whitelist, environments,
       archived, killed, version,
       ARRAY(SELECT needed.key FROM flags_flag_prerequisites
               JOIN flags_flag needed ON needed.id = to_flag_id WHERE from_flag_id = flags_flag.id ORDER BY needed.key)
  FROM flags_flag ORDER BY key COLLATE "C"
"""


def load_definitions() -> dict[str, Definition]:
    """Every definition, by key, in one query; archived ones too, since they are off for whoever still asks."""
    with connection.cursor() as cursor:
        cursor.execute(ALL)
        return {row[1]: _from_row(*row) for row in cursor.fetchall()}


def _from_row(*row: Any) -> Definition:
    id_, key, enabled, percentage, salt, formula, unit, level, whitelist, environments, archived, killed, *rest = row
    version, needs = rest
    return Definition(
        id=id_,
        key=key,
        enabled=enabled,
        threshold=threshold(percentage),
        salt=salt,
        hash_version=formula,
        unit=Unit(unit),
        level=level,
        whitelist=frozenset(whitelist),
        environments=json.loads(environments),
        prerequisites=tuple(needs),
        archived=archived,
        killed=killed,
        version=version,
    )
