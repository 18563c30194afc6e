"""When each access key was used last, to the minute.

The time is in a table of its own: an update of the key's own row would make every process read the key again.
"""

from __future__ import annotations

from time import monotonic

import structlog
from django.db import Error, connection

log = structlog.get_logger(__name__)
SAMPLE_SECONDS = 60.0
"""The time in which Flagsite writes the use of one key at most once."""
RECORD = """
INSERT INTO orgs_accesskeyuse AS known (access_key_id, last_used_at) VALUES (%s, statement_timestamp())
    ON CONFLICT (access_key_id) DO UPDATE SET last_used_at = excluded.last_used_at
 WHERE known.last_used_at < excluded.last_used_at - interval '60 seconds'
"""
_recorded: dict[str, float] = {}
"""The time at which this process has recorded each key last, by the monotonic clock."""


def record_use(access_key_id: str) -> None:
    """Record that a valid key was used, unless this process has done so within SAMPLE_SECONDS.

    Reads whose key comes from `flags.serving.access_key_cache` do not come here. A key stays valid if the database
    refuses the write.
    """
    now = monotonic()
    if now - _recorded.get(access_key_id, -SAMPLE_SECONDS) < SAMPLE_SECONDS:
        return
    _recorded[access_key_id] = now
    try:
        with connection.cursor() as cursor:
            cursor.execute(RECORD, [access_key_id])
    except Error as error:
        log.debug("access_key_use_not_recorded", error=str(error))
