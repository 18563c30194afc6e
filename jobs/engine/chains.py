"""Reading chains: a first job, its retries, and how it all ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from flagsite.core.ids import MAX_ID
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import Status
from jobs.errors import JobNotFound
from orgs.access.caller import Caller
from orgs.access.organizations import visible_organizations
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain at a glance, from its latest attempt."""

    latest: Job

    @property
    def root_job_id(self) -> int:
        return self.latest.root_id

    @property
    def latest_job_id(self) -> int:
        return self.latest.pk

    @property
    def status(self) -> str:
        """The latest attempt's, or RETRYING while a retry waits or runs."""
        return Status.RETRYING if self.latest.parent_job_id and self.latest.is_open else self.latest.status

    def next_retry_at(self, job: Job) -> datetime | None:
        """When the retry is due that the job waits for, or is; None when none is still to come."""
        is_to_come = self.latest.parent_job_id is not None and self.latest.status == Status.PENDING
        concerned = job.pk == self.latest.pk or job.status == Status.RETRYING
        return self.latest.run_at if is_to_come and concerned else None


def jobs_of(caller: Caller) -> QuerySet[Job]:
    """All jobs that the caller may see: those of organizations that it may see."""
    if caller.organization_id is None:
        return Job.objects.all()
    return Job.objects.filter(organization_id__in=visible_organizations(caller).values("pk"))


def job_for(caller: Caller, job_id: int) -> Job:
    """The job, if the caller may see it. Raises JobNotFound for missing and for foreign ones alike."""
    if not 0 < job_id <= MAX_ID:
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
    return chains_of([job])[job.root_id]


def chains_of(jobs: Iterable[Job]) -> dict[int, Chain]:
    """How the chains of these jobs stand, by the id of each one's first job; one query for all."""
    roots = {job.root_id for job in jobs}
    chains = Job.objects.filter(Q(pk__in=roots) | Q(parent_job_id__in=roots))
    latest = chains.values(root=Coalesce("parent_job_id", "pk")).annotate(latest=Max("pk")).order_by()
    found = Job.objects.filter(pk__in=latest.values("latest"))
    return {job.root_id: Chain(job) for job in found.only("pk", "parent_job_id", "status", "failed", "run_at")}


def failures_of(caller: Caller, job: Job) -> QuerySet[JobFailure]:
    """The organizations that failed in the job, without those that belong to others by now."""
    failures = JobFailure.objects.filter(job_id=job.pk)
    if caller.organization_id is None:
        return failures
    exists = Exists(Organization.objects.filter(pk=OuterRef("organization_id")))
    visible = Exists(visible_organizations(caller).filter(pk=OuterRef("organization_id")))
    return failures.filter(visible | ~exists)
