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
from jobs.errors import JobEnded, JobNotFound, NotCancellable, NotRetryable, UnknownQueue
from jobs.operations import job_operations

MAX_JOBS_IN_REQUEST = 200
"""The most jobs on which one request operates. For more jobs there is a job of its own (`jobs.operations.bulk_job`)."""
Jobs = QuerySet[Job]


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """An operation on many jobs: its texts for people, its function, and the filter of the jobs that it applies to."""

    name: str
    imperative: str
    """The beginning of a title, a question or a button, to which the page adds the jobs: "Retry"."""
    participle: str
    """The end of a sentence about jobs: "retried"."""
    explanation: str
    """What the operation does, for the page that asks for a confirmation."""
    function: Callable[..., Job]
    applicable: Callable[[Jobs], Jobs]


def _ended_badly(jobs: Jobs) -> Jobs:
    """The attempts that ended badly, without a later attempt that is open, was cancelled or ended well."""
    chain = Coalesce(OuterRef("parent_job_id"), OuterRef("pk"))
    later = Job.objects.filter(~ENDED_BADLY, parent_job_id=chain, pk__gt=OuterRef("pk"))
    return jobs.filter(ENDED_BADLY, ~Exists(later))


def _in_open_chains(jobs: Jobs) -> Jobs:
    """The jobs whose chain is open."""
    return jobs.filter(status__in=[*OPEN, Status.RETRYING])


OPERATIONS = {
    operation.name: operation
    for operation in (
        BulkOperation(
            name="retry",
            imperative="Retry",
            participle="retried",
            explanation="A new round of attempts begins in each job's chain.",
            function=job_operations.retry,
            applicable=_ended_badly,
        ),
        BulkOperation(
            name="cancel",
            imperative="Cancel",
            participle="cancelled",
            explanation="A waiting job ends at once, a running job at its next chunk. Values that are written stay.",
            function=job_operations.cancel,
            applicable=_in_open_chains,
        ),
        BulkOperation(
            name="priority",
            imperative="Change the priority of",
            participle="given another priority",
            explanation="The waiting job with the highest priority starts first.",
            function=job_operations.set_priority,
            applicable=_in_open_chains,
        ),
    )
}
SKIP_REASONS: dict[tuple[str, str], str] = {
    ("retry", Status.RETRYING): "were under way already",
    ("retry", Status.PENDING): "were under way already",
    ("retry", Status.IN_PROGRESS): "were under way already",
    ("retry", Status.CANCELLED): "had been cancelled; the request must be sent again",
    ("retry", Status.COMPLETED): "had completed; there was nothing to retry",
}
"""Why an operation skips jobs of a status, as the end of a sentence that begins with "they"."""


@dataclass(slots=True)
class BulkResult:
    """The number of jobs on which the operation was done, and the number of skipped jobs for each reason."""

    count: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, skip_reason: str) -> None:
        """Count one job: as done if the reason is empty, and otherwise as skipped for this reason."""
        if skip_reason:
            self.skipped[skip_reason] += 1
        else:
            self.count += 1


@dataclass(frozen=True, slots=True)
class BulkSelection:
    """The counts of the jobs that a person selected: all, those that the operation applies to, and the skipped jobs.

    `applicable` counts one attempt of each chain. `skipped` counts the jobs for each reason.
    """

    matching: int
    applicable: int
    skipped: Counter[str]


def count_selection(jobs: Jobs, operation: BulkOperation) -> BulkSelection:
    """Count the jobs that the operation applies to, and the other jobs by the reason why it skips them."""
    matching, applicable = _by_status(jobs), _by_status(operation.applicable(jobs))
    skipped: Counter[str] = Counter()
    for status, count in (matching - applicable).items():
        skipped[_skip_reason(operation, status)] += count
    chains = one_of_each_chain(jobs, operation).count()
    if applicable.total() > chains:
        skipped["were attempts of the same chains as others"] = applicable.total() - chains
    return BulkSelection(matching.total(), chains, skipped)


def one_of_each_chain(jobs: Jobs, operation: BulkOperation) -> QuerySet[Job, int]:
    """The ids of the jobs that the operation applies to; of several attempts of a chain only the latest."""
    by_chain = operation.applicable(jobs.order_by()).annotate(chain=Coalesce("parent_job_id", "pk")).values("chain")
    return by_chain.annotate(latest=Max("pk")).values_list("latest", flat=True)


def _by_status(jobs: Jobs) -> Counter[str]:
    return Counter(dict(jobs.order_by().values_list("status").annotate(Count("pk"))))


def do_on_each(
    job_ids: Iterable[int], operation: BulkOperation, *, by: str, reason: str = "", priority: int | None = None
) -> BulkResult:
    """Do the operation on each job in a transaction of its own; count the skipped jobs with their reasons.

    Every given job counts, as done or as skipped. If several jobs belong to one chain, an operation on the first job
    usually leaves nothing to do for the others, which are skipped.
    """
    result = BulkResult()
    for job_id in job_ids:
        result.add(do_on_one(job_id, operation, by=by, reason=reason, priority=priority))
    return result


def do_on_one(job_id: int, operation: BulkOperation, *, by: str, reason: str = "", priority: int | None = None) -> str:
    """Do the operation on one job.

    Returns an empty text, or the reason why the job was skipped, as the end of a sentence that begins with "they".
    """
    function = partial(operation.function, priority=priority) if operation.name == "priority" else operation.function
    try:
        function(job_id=job_id, by=by, reason=reason)
    except (NotRetryable, NotCancellable, JobEnded) as error:
        return str(error.context.get("they") or _skip_reason(operation, str(error.context["status"])))
    except JobNotFound:
        return "were gone"
    except UnknownQueue:
        return "were of queues that no longer exist"
    return ""


def skip_clause(reason: str, count: int) -> str:
    """The reason with its subject for this number of jobs: "they were gone", or for one job "it was gone"."""
    return f"they {reason}" if count != 1 else f"it {'was' + reason[4:] if reason.startswith('were ') else reason}"


def _skip_reason(operation: BulkOperation, status: str) -> str:
    return SKIP_REASONS.get((operation.name, status), f"were {status} already")
