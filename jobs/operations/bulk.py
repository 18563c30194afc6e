"""Bulk operations: a person retries or cancels many jobs, or changes their priority."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from django.db.models import Count, Exists, Max, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from jobs.engine.models import ENDED_BADLY, Job
from jobs.engine.states import OPEN, Status
from jobs.errors import JobEnded, JobNotFound, NotCancellable, NotRetryable
from jobs.operations import job_operations

AT_ONCE = 200
"""Jobs that one request operates on; for more there is a job of its own (`jobs.operations.bulk_job`)."""
Jobs = QuerySet[Job]


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """An operation on many jobs: its words, its function, and the filter of the jobs that it fits."""

    name: str
    asked: str
    """The beginning of the question that asks for a confirmation, before the jobs."""
    done: str
    explained: str
    act: Callable[..., Job]
    fitting: Callable[[Jobs], Jobs]


def _ended_badly(jobs: Jobs) -> Jobs:
    """The jobs whose chain's latest attempt FAILED, or COMPLETED with organizations that failed."""
    chain = Coalesce(OuterRef("parent_job_id"), OuterRef("pk"))
    later = Job.objects.filter(~ENDED_BADLY, parent_job_id=chain, pk__gt=OuterRef("pk"))
    return jobs.filter(ENDED_BADLY, ~Exists(later))


def _under_way(jobs: Jobs) -> Jobs:
    """The jobs whose chain is open."""
    return jobs.filter(status__in=[*OPEN, Status.RETRYING])


OPERATIONS = {
    operation.name: operation
    for operation in (
        BulkOperation(
            name="retry",
            asked="Retry",
            done="retried",
            explained="A new round of attempts begins in each job's chain.",
            act=job_operations.retry,
            fitting=_ended_badly,
        ),
        BulkOperation(
            name="cancel",
            asked="Cancel",
            done="cancelled",
            explained="A waiting job ends at once, a running one at its next chunk; what was written stays.",
            act=job_operations.cancel,
            fitting=_under_way,
        ),
        BulkOperation(
            name="priority",
            asked="Change the priority of",
            done="given another priority",
            explained="Of the waiting jobs, the one with the highest priority starts first.",
            act=job_operations.set_priority,
            fitting=_under_way,
        ),
    )
}
WHY_NOT: dict[tuple[str, str], str] = {
    ("retry", Status.FAILED): "were followed by an attempt that has not failed",
    ("retry", Status.RETRYING): "were under way already",
    ("retry", Status.PENDING): "were under way already",
    ("retry", Status.IN_PROGRESS): "were under way already",
    ("retry", Status.CANCELLED): "had been cancelled; such a request is sent anew",
    ("retry", Status.COMPLETED): "had completed; there was nothing to retry",
}


@dataclass(slots=True)
class BulkResult:
    """The number of jobs that the operation was done to, and the number that it skipped for each reason."""

    count: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class BulkSelection:
    """Of `matching` jobs the `fitting` ones, one of each chain, and the number of the others by the reason."""

    matching: int
    fitting: int
    skipped: Counter[str]


def choose(jobs: Jobs, operation: BulkOperation) -> BulkSelection:
    """Count the jobs that the operation fits, and the others by the reason why it does not."""
    all_of_them, fitting = _by_status(jobs), _by_status(operation.fitting(jobs))
    skipped: Counter[str] = Counter()
    for status, count in (all_of_them - fitting).items():
        skipped[_why_not(operation, status)] += count
    chains = one_of_each_chain(jobs, operation).count()
    if fitting.total() > chains:
        skipped["were attempts of the same chains as others"] = fitting.total() - chains
    return BulkSelection(all_of_them.total(), chains, skipped)


def one_of_each_chain(jobs: Jobs, operation: BulkOperation) -> QuerySet[Job, int]:
    """The ids of the jobs that the operation fits; of several attempts of a chain only the latest."""
    by_chain = operation.fitting(jobs.order_by()).annotate(chain=Coalesce("parent_job_id", "pk")).values("chain")
    return by_chain.annotate(latest=Max("pk")).values_list("latest", flat=True)


def _by_status(jobs: Jobs) -> Counter[str]:
    return Counter(dict(jobs.order_by().values_list("status").annotate(Count("pk"))))


def do_to_each(
    job_ids: Iterable[int], operation: BulkOperation, *, by: str, reason: str = "", priority: int | None = None
) -> BulkResult:
    """Do the operation to each job in a transaction of its own; count the skipped jobs with their reasons.

    Of several jobs of one chain each counts, although the operation on the first one leaves nothing for the others.
    """
    done = BulkResult()
    for job_id in job_ids:
        why_not = do_to_one(job_id, operation, by=by, reason=reason, priority=priority)
        if why_not:
            done.skipped[why_not] += 1
        else:
            done.count += 1
    return done


def do_to_one(job_id: int, operation: BulkOperation, *, by: str, reason: str = "", priority: int | None = None) -> str:
    """Do the operation to one job. Returns the reason why not, as words that continue "they", or an empty text."""
    act = partial(operation.act, priority=priority) if operation.name == "priority" else operation.act
    try:
        act(job_id=job_id, by=by, reason=reason)
    except (NotRetryable, NotCancellable, JobEnded) as error:
        return str(error.context.get("they") or _why_not(operation, str(error.context["status"])))
    except JobNotFound:
        return "were gone"
    return ""


def said_of(words: str, count: int) -> str:
    """The reason as a sentence about so many jobs: "they were gone", or about one "it was gone"."""
    return f"they {words}" if count != 1 else f"it {'was' + words[4:] if words.startswith('were ') else words}"


def _why_not(operation: BulkOperation, status: str) -> str:
    return WHY_NOT.get((operation.name, status), f"were {status} already")
