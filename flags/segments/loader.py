"""Loading segments from the database for evaluation: those that rules name, and those that these name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection

from flags.targeting.rules import EvaluatedSegment, segment_rules_of
from flags.targeting.segments import Segments
from flags.values.stored_json import StoredJson

NAMED = '$[*].clauses[*] ? (@.op == "inSegment").values[*]'
"""The JSON path to the keys of the segments that rules name."""
ALL = 2**31 - 1
NEEDED = f"""
WITH RECURSIVE needed (id, uses) AS (
    SELECT id, jsonb_path_query_array(rules, '{NAMED}') FROM flags_segment WHERE key = ANY(%(keys)s)
     UNION
    SELECT named.id, jsonb_path_query_array(named.rules, '{NAMED}')
      FROM needed JOIN flags_segment named ON needed.uses ? named.key)
SELECT jsonb_build_object('id', id, 'key', key, 'version', version, 'rules', rules,
                          'included', included[:%(most)s], 'excluded', excluded[:%(most)s])::text
  FROM flags_segment WHERE id IN (SELECT id FROM needed)
"""  # noqa: S608 - no input in it


def load_segments(keys: Collection[str], *, most: int = ALL) -> Segments:
    """Return the segments with these keys and those that they name, also by way of others, in one query.

    With `most`, a list of targeting keys has only so many of them, because it may be long.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEEDED, {"keys": list(keys), "most": most})
        rows = [json.loads(text, cls=StoredJson) for (text,) in cursor.fetchall()]
    return Segments({row["key"]: evaluated(row) for row in rows})


def evaluated(row: Mapping[str, Any]) -> EvaluatedSegment:
    """Return the part of a segment that evaluation needs, from the columns of its row in JSON."""
    return EvaluatedSegment(
        key=row["key"],
        revision=f"{row['id']}-{row['version']}",
        included=tuple(row["included"]),
        excluded=tuple(row["excluded"]),
        rules=segment_rules_of(row["rules"]),
    )
