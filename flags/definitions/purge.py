"""The purge job: it deletes a flag with all its flag states, which can be millions of rows.

1. The request marks the flag as `purging`, for ever. Every statement that creates flag states checks this mark
   (`flags.states.sql`, `flags.states.inheritance`).
2. The job waits until every transaction that holds a tree lock now has ended. A transaction that takes its tree lock
   later sees the mark. So no new rows of the flag can appear, not even from a propagation that is running. Nobody waits
   behind the job.
3. The job deletes the flag states chunk by chunk in the order of organization ids, then the settings, the former
   settings and definitions, and the changes, then the flag.

An interrupted attempt is repeated from the start; deleted rows are no problem for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
before_purge: list[Callable[[Flag], None]] = []
"""What to end together with a flag. Flagsite calls them in the transaction of the request, before it locks the flag."""
CHUNK_SIZE = 5_000
"""Organizations, settings or changes in one short transaction."""
DELETE_STATES = """
WITH span AS MATERIALIZED (SELECT id FROM orgs_organization WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
     deleted AS (  -- by primary key, in its order
    DELETE FROM flags_flagstate
     WHERE organization_id = ANY(ARRAY(SELECT id FROM span ORDER BY id)) AND flag_id = %(flag)s)
SELECT max(id), count(*) FROM span
"""
DELETE_CHANGES = """
DELETE FROM flags_change WHERE id = ANY(ARRAY(  -- index change_of_flag
    SELECT id FROM flags_change WHERE flag_id = %(flag)s ORDER BY number DESC LIMIT %(limit)s))
"""
DELETE_REPLACED = """
DELETE FROM flags_replacedsetting WHERE id = ANY(ARRAY(  -- index replaced_setting_of_flag
    SELECT id FROM flags_replacedsetting WHERE flag_id = %(flag)s ORDER BY id LIMIT %(limit)s))
"""
DELETE_DEFINITIONS = """
DELETE FROM flags_formerdefinition WHERE id = ANY(ARRAY(  -- index former_definition
    SELECT id FROM flags_formerdefinition WHERE flag_id = %(flag)s ORDER BY valid_until LIMIT %(limit)s))
"""
DELETE_SETTINGS = """
DELETE FROM flags_flagsetting setting USING (  -- by primary key, in its order
    SELECT organization_id, flag_id FROM flags_flagsetting WHERE flag_id = %(flag)s
     ORDER BY organization_id LIMIT %(limit)s FOR UPDATE) next
 WHERE setting.organization_id = next.organization_id AND setting.flag_id = next.flag_id
"""


def start(flag: Flag, *, requested_by: str, correlation_id: str) -> Job:
    """Create the job that deletes a flag. The caller has marked the flag as `purging` in the same transaction."""
    arguments = {"featureFlagName": flag.key, "flagId": flag.pk}
    return lifecycle.create(kind=KIND, arguments=arguments, requested_by=requested_by, correlation_id=correlation_id)


def open_job(flag: Flag) -> Job | None:
    """Return the open job that deletes the flag, or None."""
    jobs = Job.objects.filter(kind=KIND, arguments__featureFlagName=flag.key, arguments__flagId=flag.pk)
    return jobs.filter(status__in=OPEN).order_by("-id").first()


@job_kind(KIND)
def purge(run: Run) -> None:
    """Delete everything about the flag, and the flag. Raises PermanentFailure without the mark `purging`."""
    flag_id = int(run.job.arguments["flagId"])
    flag = Flag.objects.filter(pk=flag_id).first()
    if flag is None:
        return  # an earlier attempt deleted the flag, but its worker died before the job was complete
    if not flag.purging:
        raise PermanentFailure("The flag is not marked as purging.")
    locks.wait_for_present_holders(run.check)
    with transaction.atomic():
        run.record_progress(total=Organization.objects.count())
    statements = (DELETE_SETTINGS, DELETE_REPLACED, DELETE_DEFINITIONS, DELETE_CHANGES)
    steps: list[Callable[[Run, int], bool]] = [_delete_states]
    steps += [partial(_delete, statement) for statement in statements]
    for delete_some in steps:
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
    """Delete the flag states of the next organizations. Returns False if there are no more organizations."""
    after = (run.job.checkpoint or {}).get("after", 0)
    with transaction.atomic():
        sql.begin_deletion()
        with connection.cursor() as cursor:
            cursor.execute(DELETE_STATES, {"after": after, "limit": CHUNK_SIZE, "flag": flag_id})
            last, count = cursor.fetchone()
        if not count:
            return False
        checkpoint = {"after": last}
        run.record_progress(processed=count, checkpoint=checkpoint)
    run.job.checkpoint = checkpoint
    return True


def _delete(statement: str, run: Run, flag_id: int) -> bool:
    """Delete some rows of the flag. Returns False if there are no more."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(statement, {"flag": flag_id, "limit": CHUNK_SIZE})
            deleted = cursor.rowcount
        run.record_progress()
    return deleted > 0
