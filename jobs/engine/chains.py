"""Read chains: find jobs and attempts, and compute the status of a chain."""

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
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.models import Organization


def newest_id() -> int:
    """The id of the newest job, or 0 if there is none."""
    return Job.objects.aggregate(newest=Max("pk"))["newest"] or 0


@dataclass(frozen=True, slots=True)
class Chain:
    """The status of a chain, computed from its latest attempt."""

    latest: Job

    @property
    def root_job_id(self) -> int:
        return self.latest.root_id

    @property
    def latest_job_id(self) -> int:
        return self.latest.pk

    @property
    def status(self) -> str:
        """The status of the latest attempt, or RETRYING while a retry waits or runs."""
        return Status.RETRYING if self.latest.parent_job_id and self.latest.is_open else self.latest.status

    def next_retry_at(self, job: Job) -> datetime | None:
        """Return when the chain's pending retry is due, if `job` is this retry or waits for it; otherwise None."""
        has_pending_retry = self.latest.parent_job_id is not None and self.latest.status == Status.PENDING
        is_affected = job.pk == self.latest.pk or job.status == Status.RETRYING
        return self.latest.run_at if has_pending_retry and is_affected else None


def jobs_of(caller: Caller) -> QuerySet[Job]:
    """Return the jobs that the caller may see, which are the jobs of the organizations in the caller's scope."""
    if caller.organization_id is None:
        return Job.objects.all()
    return Job.objects.filter(organization_id__in=visible_organizations(caller).values("pk"))


def job_for(caller: Caller, job_id: int) -> Job:
    """Return the job, if it exists and the caller may see it. Raises JobNotFound in both other cases."""
    if not 0 < job_id <= MAX_ID:
        raise JobNotFound
    job = jobs_of(caller).filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    return job


def attempts(job: Job) -> list[Job]:
    """Return all attempts of the job's chain, oldest first."""
    return list(Job.objects.of_chain(job.root_id))


def chain_of(job: Job) -> Chain:
    """Return the chain of the job, with its status."""
    return chains_of([job])[job.root_id]


def chains_of(jobs: Iterable[Job]) -> dict[int, Chain]:
    """Return the chains of the jobs, by the id of the first job of each chain. Runs one query."""
    root_ids = {job.root_id for job in jobs}
    all_attempts = Job.objects.filter(Q(pk__in=root_ids) | Q(parent_job_id__in=root_ids))
    latest_ids = all_attempts.values(root=Coalesce("parent_job_id", "pk")).annotate(latest=Max("pk")).order_by()
    latest = Job.objects.filter(pk__in=latest_ids.values("latest"))
    return {job.root_id: Chain(job) for job in latest.only("pk", "parent_job_id", "status", "failed", "run_at")}


def failures_of(caller: Caller, job: Job) -> QuerySet[JobFailure]:
    """Return the failures of the job, without organizations that are outside the caller's scope by now."""
    failures = JobFailure.objects.filter(job_id=job.pk)
    if caller.organization_id is None:
        return failures
    exists = Exists(Organization.objects.filter(pk=OuterRef("organization_id")))
    visible = Exists(visible_organizations(caller).filter(pk=OuterRef("organization_id")))
    return failures.filter(visible | ~exists)
