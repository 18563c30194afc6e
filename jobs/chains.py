"""Reading chains: a first job, its retries, and how it all ended."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from jobs.errors import JobNotFound
from jobs.models import Job
from jobs.states import Status
from orgs.access import BIGGEST_ID, Caller, organizations_of


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain at a glance."""

    root_job_id: int
    latest_job_id: int
    status: str


def jobs_of(caller: Caller) -> QuerySet[Job]:
    """All jobs that the caller may see: those of organizations that it may see."""
    if caller.organization_id is None:
        return Job.objects.all()
    return Job.objects.filter(organization_id__in=organizations_of(caller).values("pk"))


def job_for(caller: Caller, job_id: int) -> Job:
    """The job, if the caller may see it. Raises JobNotFound for missing and for foreign ones alike."""
    if not 0 < job_id <= BIGGEST_ID:
        raise JobNotFound
    job = jobs_of(caller).filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def attempts(job: Job) -> list[Job]:
    """Every attempt of the job's chain, oldest first."""
    return list(Job.objects.of_chain(job.root_id))


def chain_of(job: Job) -> Chain:
    """How the job's chain stands: its latest attempt's status, or RETRYING while a retry waits or runs."""
    latest = Job.objects.of_chain(job.root_id).last() or job
    retrying = latest.parent_job_id is not None and latest.is_open
    return Chain(job.root_id, latest.pk, Status.RETRYING if retrying else latest.status)
