"""Read the members of batches: how many there are of each status, and how each of them stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from jobs.batches.models import Batch, BatchOutcome
from jobs.engine.batch_part import BatchRole
from jobs.engine.chains import Standing
from jobs.engine.models import Job, JobQuerySet
from jobs.engine.states import OPEN, Status


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """How many members of a batch stand in each way.

    The work of `partial` ones is COMPLETED, but not for all organizations.
    """

    waiting: int = 0
    running: int = 0
    retrying: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    required_lost: int = 0
    """The required members among those that failed or were cancelled."""

    @property
    def open(self) -> int:
        return self.waiting + self.running + self.retrying

    @property
    def ended(self) -> int:
        return self.succeeded + self.partial + self.failed + self.cancelled

    @property
    def total(self) -> int:
        return self.open + self.ended

    @property
    def percent_ended(self) -> int:
        """The percentage of the members that have ended; 100 for a batch without members."""
        return self.ended * 100 // self.total if self.total else 100


COUNT_MEMBERS = """
SELECT first.batch_id,
       count(*) FILTER (WHERE first.status = 'PENDING'), count(*) FILTER (WHERE first.status = 'IN_PROGRESS'),
       count(*) FILTER (WHERE first.status = 'RETRYING'),
       count(*) FILTER (WHERE first.status = 'COMPLETED' AND COALESCE(retry.failed, first.failed) = 0),
       count(*) FILTER (WHERE first.status = 'COMPLETED' AND COALESCE(retry.failed, first.failed) > 0),
       count(*) FILTER (WHERE first.status = 'FAILED'), count(*) FILTER (WHERE first.status = 'CANCELLED'),
       count(*) FILTER (WHERE first.batch_role = 'required' AND first.status IN ('FAILED', 'CANCELLED'))
  FROM jobs_job first  -- index first_job_of_batch; the first job of a chain has the status of the chain
  LEFT JOIN jobs_job retry ON first.retry_count > 0
        AND retry.parent_job_id = first.id AND retry.retry_count = first.retry_count
 WHERE first.batch_id = ANY(%(batches)s) AND first.parent_job_id IS NULL AND first.batch_role <> 'operation'
 GROUP BY first.batch_id
"""


def count_members(batches: Iterable[Batch]) -> dict[int, MemberCounts]:
    """Count the members of each batch, by the id of the batch. Runs one query, or none if all have ended.

    An ended batch has its counts in its own row.
    """
    batches = list(batches)
    counted = count_now([batch.pk for batch in batches if batch.is_open])
    for batch in batches:
        if not batch.is_open:
            counted[batch.pk] = MemberCounts(
                succeeded=batch.succeeded or 0,
                partial=batch.partial or 0,
                failed=batch.failed or 0,
                cancelled=batch.cancelled or 0,
            )
    return counted


def count_now(batch_ids: list[int]) -> dict[int, MemberCounts]:
    """Count the members of each batch from the jobs themselves."""
    if not batch_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(COUNT_MEMBERS, {"batches": batch_ids})
        counted = {row[0]: MemberCounts(*row[1:]) for row in cursor.fetchall()}
    return {batch_id: counted.get(batch_id, MemberCounts()) for batch_id in batch_ids}


def first_jobs(batch: Batch, jobs: QuerySet[Job] | None = None) -> QuerySet[Job]:
    """The first job of each member's chain, in the order of their ids; if `jobs` are given, only these of them."""
    all_jobs = Job.objects.all() if jobs is None else jobs
    return all_jobs.filter(batch=batch, parent_job=None).exclude(batch_role=BatchRole.OPERATION).order_by("id")


def jobs_of_members(batch: Batch) -> JobQuerySet:
    """All attempts of the members."""
    return Job.objects.filter(batch=batch).exclude(batch_role=BatchRole.OPERATION)


def open_chains(batch: Batch) -> set[int]:
    """The ids of the first jobs of the open members."""
    open_jobs = jobs_of_members(batch).filter(status__in=sorted(OPEN)).order_by()
    return set(open_jobs.values_list(Coalesce("parent_job_id", "pk"), flat=True))


def member_outcome(standing: Standing) -> str:
    """How a member has ended, as the outcome of a batch would say it; empty while it is open."""
    if standing.status == Status.COMPLETED:
        return BatchOutcome.PARTIAL if standing.failed else BatchOutcome.SUCCEEDED
    return standing.status if standing.status in {Status.FAILED, Status.CANCELLED} else ""
