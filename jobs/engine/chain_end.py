"""What follows the end of a chain, in the same transaction: the rule of its kind, and the event of a failure."""

from __future__ import annotations

from jobs.engine.kinds import find_kind
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.notifications.events import JOB_FAILED, notify


def follow(job: Job, status: Status, error: str) -> None:
    """Call the rule of the kind, and tell a failure. `status` is the status of the chain, and `error` its error."""
    kind = find_kind(job.kind)
    if kind is not None and kind.on_end is not None:
        kind.on_end(job, status)
    if status == Status.FAILED and (kind is None or kind.is_told):
        notify(
            JOB_FAILED,
            f"Job {job.root_id} ({job.kind}) has failed: {error}",
            subject=f"job:{job.root_id}",
            organization_id=job.organization_id,
            page=("admin:jobs_job_change", job.root_id),
            jobId=job.root_id,
            kind=job.kind,
            queue=job.queue,
            error=error[:500],
        )
