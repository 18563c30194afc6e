"""The segments as they were at a past moment."""

from __future__ import annotations

import json

from django.db import connection

from flags.history.moments import Moment
from flags.segments.loader import evaluated
from flags.targeting.segments import Segments
from flags.values.stored_json import StoredJson

# Of the contents that ended later, the first one held; else the content of now. A deleted segment has former ones only.
THEN = """
SELECT content::text
  FROM (SELECT DISTINCT ON (segment_id) content
          FROM (SELECT segment_id, content, valid_until, id FROM flags_formersegment WHERE valid_until > %(at)s
                 UNION ALL
                SELECT id, to_jsonb(segment), 'infinity', 0 FROM flags_segment segment) one
         ORDER BY segment_id, valid_until, id) held
 WHERE (content ->> 'created_at')::timestamptz <= %(at)s
"""


def past_segments(moment: Moment) -> Segments:
    """Return the segments that existed then."""
    with connection.cursor() as cursor:
        cursor.execute(THEN, {"at": moment.at})
        rows = [json.loads(text, cls=StoredJson) for (text,) in cursor.fetchall()]
    return Segments({row["key"]: evaluated(row) for row in rows})
