"""Deleting a flag with all its states: a job, since states are millions of rows.

1. The request marks the flag `purging`, for good; every statement that makes rows asks for that mark
   (`flags.states.sql`, `flags.states.inheritance`). 2. The job waits for the tree lock alone, once: after that no
   transaction is left that began before the mark was seen, so no row of the flag can come any more, not even from a
   propagation that is under way. 3. It deletes the states chunk by chunk, by the organizations' ids, then the changes,
   then the flag. An attempt that was interrupted is begun again from the start and finds what is gone to be gone.
"""

from __future__ import annotations

import structlog
from django.db import connection, transaction

from flags.definitions.fields import as_json, values_of
from flags.definitions.models import Flag
from flags.states import sql
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import OPEN
from jobs.errors import PermanentFailure
from orgs.audit import audit_log
from orgs.tree import locks
from orgs.tree.models import Organization

log = structlog.get_logger(__name__)

KIND = "purge"
CHUNK = 5_000
"""Organizations, or changes, of one short transaction."""
DELETE_STATES = """
WITH span AS MATERIALIZED (SELECT id FROM orgs_organization WHERE id > %(after)s ORDER BY id LIMIT %(most)s),
     deleted AS (  -- by primary key, in its order
    DELETE FROM flags_flagstate
     WHERE organization_id = ANY(ARRAY(SELECT id FROM span ORDER BY id)) AND flag_id = %(flag)s)
SELECT max(id), count(*) FROM span
"""
DELETE_CHANGES = """
DELETE FROM flags_change WHERE id = ANY(ARRAY(  -- index change_of_flag
    SELECT id FROM flags_change WHERE flag_id = %(flag)s ORDER BY number DESC LIMIT %(most)s))
"""


def start(flag: Flag, *, requested_by: str, correlation_id: str) -> Job:
    """Create the job that deletes a flag which is marked `purging`, in the caller's transaction."""
    arguments = {"featureFlagName": flag.key, "flagId": flag.pk}
    return lifecycle.create(kind=KIND, arguments=arguments, requested_by=requested_by, correlation_id=correlation_id)


def open_job(flag: Flag) -> Job | None:
    """The open job that deletes the flag, if there is one."""
    mine = Job.objects.filter(kind=KIND, arguments__featureFlagName=flag.key, arguments__flagId=flag.pk)
    return mine.filter(status__in=OPEN).order_by("-id").first()


@job_kind(KIND)
def purge(run: Run) -> None:
    """Delete the flag's states, its changes and itself. Raises PermanentFailure where nobody asked for it."""
    flag_id = int(run.job.arguments["flagId"])
    flag = Flag.objects.filter(pk=flag_id).first()
    if flag is None:
        return  # an attempt before this one came to the end, and its worker died before it could say so
    if not flag.purging:
        raise PermanentFailure("The flag is not marked to be purged.")
    with transaction.atomic():
        locks.lock_tree_for_writing()
        run.record_progress(total=Organization.objects.count())
    for delete_some in (_delete_states, _delete_changes):
        run.check()
        while delete_some(run, flag_id):
            run.check()
    with transaction.atomic():
        before = as_json(values_of(flag))
        flag.delete()
        audit_log.record(
            "flag.purged", f"flag:{flag.key}", by=run.job.requested_by, jobId=run.job.pk, before=before, after=None
        )
        run.record_progress()
    log.info("flag_purged", jobId=run.job.pk, flag=flag.key)


def _delete_states(run: Run, flag_id: int) -> bool:
    """Delete the states of the next organizations; False when there are no more."""
    after = (run.job.checkpoint or {}).get("after", 0)
    with transaction.atomic():
        sql.begin_deletion()
        with connection.cursor() as cursor:
            cursor.execute(DELETE_STATES, {"after": after, "most": CHUNK, "flag": flag_id})
            last, count = cursor.fetchone()
        if not count:
            return False
        checkpoint = {"after": last}
        run.record_progress(processed=count, checkpoint=checkpoint)
    run.job.checkpoint = checkpoint
    return True


def _delete_changes(run: Run, flag_id: int) -> bool:
    """Delete the newest of its changes; False when there are no more."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(DELETE_CHANGES, {"flag": flag_id, "most": CHUNK})
            deleted = cursor.rowcount
        run.record_progress()
    return deleted > 0
