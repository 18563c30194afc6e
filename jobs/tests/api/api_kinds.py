"""A kind of job for tests of the API: does nothing, or fails as its arguments say."""

from __future__ import annotations

from django.db import transaction

from jobs.engine import claiming, lifecycle, runner
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import PermanentFailure
from orgs.tree.models import Organization

KIND = "test-of-the-api"


@job_kind(KIND)
def work(run: Run) -> None:
    """Fail for the organizations in `failing`, for good with `broken`."""
    if run.job.arguments.get("broken"):
        raise PermanentFailure("It is broken.")
    failing = run.job.arguments.get("failing", [])
    with transaction.atomic():
        for organization_id in failing:
            run.record_failure(organization_id, f"No luck with {organization_id}.")
        run.record_progress(total=len(failing) + 1, processed=1, failed=len(failing))


def waiting(organization: Organization, **arguments: object) -> Job:
    """A job that no worker has taken yet."""
    return lifecycle.create(
        kind=KIND, organization_id=organization.pk, arguments=arguments, requested_by="test", correlation_id="c"
    )


def running(organization: Organization) -> Job:
    """A job that a worker holds."""
    waiting(organization)
    job = claiming.claim(queue="default", worker="test")
    assert job is not None
    return job


def done(organization: Organization, **arguments: object) -> Job:
    """A job that ran to its end, as its arguments say."""
    job = waiting(organization, **arguments)
    runner.run_next("default")
    job.refresh_from_db()
    return job
