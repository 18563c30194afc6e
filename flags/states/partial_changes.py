"""Changes that outlive their job: whether they have reached their whole subtree is known from the job until then."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from flags.states.models import IS_COMPLETE

REMEMBER = f"""
UPDATE flags_change change SET is_partial = NOT {IS_COMPLETE}
 WHERE change.job_id = ANY(%s) AND change.is_partial IS DISTINCT FROM NOT {IS_COMPLETE}
"""  # noqa: S608 - no input in it


def remember_partial_changes(root_ids: Sequence[int]) -> None:
    """Keep in the changes of these chains whether they are complete, just before the clean-up deletes the chains."""
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, [list(root_ids)])
