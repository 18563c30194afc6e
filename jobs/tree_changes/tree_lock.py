"""The tree lock for a job: it waits as long as necessary, and looks meanwhile whether the job should still run."""

from __future__ import annotations

from django.db import OperationalError, connection, transaction

from flagsite.core.db.transient_errors import is_wait_for_lock
from jobs.engine.run import Run
from orgs.tree import locks


def lock_trees(run: Run, *organization_ids: int | None) -> None:
    """Take the locks of the trees of these organizations exclusively, in the transaction of the calling code.

    Every ten seconds of waiting, check whether the job should still run. Raises like `Run.check`.
    """
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '10s'")
                locks.lock_trees_for_writing(*organization_ids)
                cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
                return
        except OperationalError as error:
            if not is_wait_for_lock(error):
                raise
        run.reload()
        run.check()
