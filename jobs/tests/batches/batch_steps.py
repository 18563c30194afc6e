"""Kinds of jobs for batches, and the steps with which tests move their members."""

from __future__ import annotations

from typing import Any

from jobs.batches.creation import Callback, Member, create_batch
from jobs.batches.models import Batch
from jobs.engine import claiming, lifecycle
from jobs.engine.kinds import NO_ARGUMENTS, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import PermanentFailure
from jobs.tests.engine_steps import lease_of, make_due
from orgs.access.models import Role

KIND = "member-of-a-test"
CALLBACK = "callback-of-a-test"
ARGUMENTS = {
    "type": "object",
    "properties": {"fails": {"type": "boolean"}, "number": {"type": "integer"}},
    "additionalProperties": False,
}
OF_CALLBACK = {
    "type": "object",
    "properties": {"batchId": {"type": "integer"}, "generation": {"type": "integer"}, "word": {"type": "string"}},
    "required": ["batchId"],
    "additionalProperties": False,
}


@job_kind(KIND, summary="Do what the test says.", arguments=ARGUMENTS, of_organization=True)
def member(run: Run) -> None:
    if run.job.arguments.get("fails"):
        raise PermanentFailure("It was told to fail.")
    run.set_result({"number": run.job.arguments.get("number")})


@job_kind(CALLBACK, queue="maintenance", summary="Follow a batch.", arguments=OF_CALLBACK)
def callback(run: Run) -> None:
    """Nothing; the tests look at the job."""


@job_kind("of-everybody-of-a-test", arguments=NO_ARGUMENTS)
def of_everybody(run: Run) -> None:
    """Nothing."""


FOR_ADMINS = "of-administrators-of-a-test"


@job_kind(FOR_ADMINS, arguments=NO_ARGUMENTS, of_organization=True, role=lambda arguments: Role.ADMIN)
def of_administrators(run: Run) -> None:
    """Nothing."""


def members(count: int, **more: Any) -> list[Member]:
    """So many members, named m0, m1 and so on."""
    return [Member(kind=KIND, arguments={"number": number}, name=f"m{number}", **more) for number in range(count)]


def batch_of(count: int, *, required: int = 0, **more: Any) -> Batch:
    """An open batch, whose first `required` members are required, with a callback."""
    chosen = [*members(required, is_required=True), *members(count)[required:]]
    return create_batch("a batch", chosen, by="olga", on_finish=Callback(CALLBACK, {"word": "done"}), **more).batch


def claim() -> Job:
    """The next job of the queue of the members, which a worker now runs."""
    make_due()
    job = claiming.claim(queue="default", worker="w")
    assert job is not None
    return job


def complete(job: Job) -> None:
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))


def fail(job: Job) -> None:
    """Fail for good."""
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)


def fail_partly(job: Job) -> None:
    """Complete the work, but not for one of two organizations."""
    lifecycle.record_progress(job_id=job.pk, lease=lease_of(job), processed=1, failed=1, total=2)
    complete(job)


def fresh(batch: Batch) -> Batch:
    return Batch.objects.get(pk=batch.pk)


def outcome(batch: Batch) -> str:
    return fresh(batch).outcome


def callbacks(batch: Batch) -> list[int]:
    """The generations whose ends a callback has followed, in the order of the callbacks."""
    jobs = Job.objects.filter(kind=CALLBACK, parent_job=None, arguments__batchId=batch.pk).order_by("pk")
    return [job.arguments["generation"] for job in jobs]
