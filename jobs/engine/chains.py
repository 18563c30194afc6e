"""Read chains: find jobs and attempts, and compute the status of a chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from flagsite.core.ids import MAX_ID
from jobs.artifacts.models import Artifact
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import FINAL, Status
from jobs.errors import JobNotFound
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.models import Organization


def newest_id() -> int:
    """The id of the newest job, or 0 if there is none."""
    return Job.objects.aggregate(newest=Max("pk"))["newest"] or 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the work of a job stands: its status, with the counts, the error and the times that belong to it."""

    status: str
    total: int | None
    processed: int
    failed: int
    superseded: int
    unchanged: int
    error_message: str | None
    updated_at: datetime
    completed_at: datetime | None
    result: Any = None

    @property
    def is_final(self) -> bool:
        """Whether nothing changes any more, unless a person retries the job."""
        return self.status in FINAL

    @property
    def will_retry(self) -> bool:
        """Whether the work failed and Flagsite tries it again by itself: a retry waits or runs."""
        return self.status == Status.RETRYING


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain, read from its latest attempt, and from the latest attempt that has started."""

    latest: Job
    started: Job | None = None
    has_organization: bool = True
    """Whether the organization of the jobs still exists; true also for jobs without an organization."""

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

    @property
    def objection_to_retry(self) -> str | None:
        """Why a person cannot retry the chain, as a sentence; None if it is possible."""
        latest = self.latest
        if latest.is_open:
            return f"Attempt {latest.pk} of this job is {latest.status} already."
        if latest.status == Status.CANCELLED:
            return f"Job {latest.pk} was cancelled; send the request again."
        if latest.status == Status.COMPLETED and not latest.failed:
            return f"Job {latest.pk} has COMPLETED; there is nothing to retry."
        if self.lacks_organization:
            return f"The organization {latest.organization_id} of job {latest.pk} no longer exists."
        return None

    @property
    def lacks_organization(self) -> bool:
        """Whether a person cannot retry the chain only because its organization is deleted."""
        ended_badly = self.latest.attempt_status == Status.FAILED or self.latest.failed > 0
        return not self.has_organization and ended_badly

    @property
    def can_retry(self) -> bool:
        """Whether a person can retry the chain: it FAILED, or COMPLETED with organizations that failed."""
        return self.objection_to_retry is None

    def next_retry_at(self, job: Job) -> datetime | None:
        """Return when the chain's pending retry is due, if `job` is this retry or waits for it; otherwise None."""
        has_pending_retry = self.latest.parent_job_id is not None and self.latest.status == Status.PENDING
        is_affected = job.pk == self.latest.pk or job.status == Status.RETRYING
        return self.latest.run_at if has_pending_retry and is_affected else None

    def standing(self, job: Job) -> Standing:
        """Return how the work of `job`, an attempt of this chain, stands.

        The latest attempt stands for itself. An earlier attempt has the status of the chain, and the counts of the
        latest attempt that has started. If this attempt covers only the rest, the counts include the organizations
        that it left out, because the attempts before it wrote them.
        """
        latest = job if job.pk == self.latest.pk else self.latest
        source = self.started if self.started and self.started.pk > job.pk else job
        counts = {
            name: getattr(source, name) + getattr(source, f"carried_{name}") - getattr(job, f"carried_{name}")
            for name in ("processed", "superseded", "unchanged")
        }
        total = job.total
        if source.total is not None:
            total = source.total + source.carried_processed - job.carried_processed
        error = latest.error_message
        if error is None and job.status != Status.COMPLETED:
            error = source.error_message or (None if job.status == Status.CANCELLED else job.error_message)
        return Standing(
            status=job.status, total=total, failed=source.failed, **counts, error_message=error,
            updated_at=max(job.updated_at, source.updated_at, latest.updated_at),
            completed_at=latest.completed_at if job.status in FINAL else None, result=source.result,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """A job with its chain, and how its work stands: what people and programs see when they ask for the job."""

    job: Job
    chain: Chain
    standing: Standing
    artifacts: Sequence[Artifact] = ()

    @property
    def next_retry_at(self) -> datetime | None:
        return self.chain.next_retry_at(self.job)

    @property
    def max_retries(self) -> int:
        """The automatic retries that the queue allows; no more than there were if the job has FAILED for good."""
        job = self.job
        return min(job.max_retries, job.retry_count) if self.standing.status == Status.FAILED else job.max_retries


def tracked(jobs: Sequence[Job]) -> list[TrackedJob]:
    """Return the jobs with their chains and artifacts, in the same order. Read the jobs in the same `snapshot`.

    Runs one query, and a second one if the work of a job has ended.
    """
    chains = chains_of(jobs)
    artifacts = artifacts_of_chains(root_id for root_id, chain in chains.items() if chain.status in FINAL)
    return [
        TrackedJob(job, chain := chains[job.root_id], chain.standing(job), artifacts.get(job.root_id, ()))
        for job in jobs
    ]


def artifacts_of_chains(root_ids: Iterable[int]) -> dict[int, list[Artifact]]:
    """Return the artifacts of chains that have not expired, by the id of the first job, in the order of their names."""
    found: dict[int, list[Artifact]] = {}
    if roots := list(root_ids):
        for artifact in Artifact.objects.current().filter(job_id__in=roots).order_by("name"):
            found.setdefault(artifact.job_id or 0, []).append(artifact)
    return found


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


COLUMNS_OF_STANDING = (
    "pk", "parent_job_id", "organization_id", "status", "ended_as", "total", "processed", "failed", "superseded",
    "unchanged", "carried_processed", "carried_superseded", "carried_unchanged", "error_message", "run_at",
    "started_at", "updated_at", "completed_at", "result",
)  # fmt: skip


def chains_of(jobs: Iterable[Job]) -> dict[int, Chain]:
    """Return the chains of the jobs, by the id of the first job of each chain. Runs one query."""
    root_ids = {job.root_id for job in jobs}
    all_attempts = Job.objects.filter(Q(pk__in=root_ids) | Q(parent_job_id__in=root_ids))
    numbers = (
        all_attempts.values(root=Coalesce("parent_job_id", "pk"))
        .annotate(latest=Max("pk"), started=Max("pk", filter=Q(started_at__isnull=False)))
        .order_by()
    )
    wanted = Job.objects.filter(Q(pk__in=numbers.values("latest")) | Q(pk__in=numbers.values("started")))
    organization = Organization.objects.filter(pk=OuterRef("organization_id"))
    wanted = wanted.annotate(has_organization=Exists(organization) | Q(organization_id=None))
    by_root: dict[int, list[Any]] = {}
    for job in wanted.only(*COLUMNS_OF_STANDING).order_by("pk"):
        by_root.setdefault(job.root_id, []).append(job)
    return {root_id: _chain(found) for root_id, found in by_root.items()}


def _chain(found: list[Any]) -> Chain:
    """Return the chain of which `found` are the latest attempt and the latest one that has started, oldest first."""
    started = [job for job in found if job.started_at is not None]
    return Chain(found[-1], started[-1] if started else None, found[-1].has_organization)


def failures_of(caller: Caller, job: Job) -> QuerySet[JobFailure]:
    """Return the failures of the job, without organizations that are outside the caller's scope by now."""
    failures = JobFailure.objects.filter(job_id=job.pk)
    if caller.organization_id is None:
        return failures
    exists = Exists(Organization.objects.filter(pk=OuterRef("organization_id")))
    visible = Exists(visible_organizations(caller).filter(pk=OuterRef("organization_id")))
    return failures.filter(visible | ~exists)
