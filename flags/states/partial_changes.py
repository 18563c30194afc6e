"""Changes that outlive their job: until then, the job tells whether they have reached their whole subtree, and when."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from flags.states.models import IS_COMPLETE

REMEMBER = f"""
UPDATE flags_change change
   SET is_partial = NOT {IS_COMPLETE},
       settled_at = (SELECT max(attempt.completed_at) FROM jobs_job attempt
                      WHERE attempt.id = change.job_id OR attempt.parent_job_id = change.job_id)
 WHERE change.job_id = ANY(%s)
"""  # noqa: S608 - no input in it


def remember_partial_changes(root_ids: Sequence[int]) -> None:
    """Keep in the changes of these chains whether they are complete, and when the chains ended.

    The clean-up calls this just before it deletes the chains.
    """
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, [list(root_ids)])
