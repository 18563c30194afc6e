"""Doing the same to many jobs because a person asked: retry, cancel, another priority."""

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
"""So many jobs are done in one request; more are done by a job (`jobs.operations.bulk_job`)."""
Jobs = QuerySet[Job]


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """Something that a person does to a job, the words for it, and which of some jobs it can be done to."""

    name: str
    asked: str
    """What a question about it begins with, before the jobs."""
    done: str
    explained: str
    act: Callable[..., Job]
    fitting: Callable[[Jobs], Jobs]


def _ended_badly(jobs: Jobs) -> Jobs:
    """Those whose chain's latest attempt FAILED, or COMPLETED with organizations that failed."""
    chain = Coalesce(OuterRef("parent_job_id"), OuterRef("pk"))
    later = Job.objects.filter(~ENDED_BADLY, parent_job_id=chain, pk__gt=OuterRef("pk"))
    return jobs.filter(ENDED_BADLY, ~Exists(later))


def _under_way(jobs: Jobs) -> Jobs:
    """Those whose chain is open."""
    return jobs.filter(status__in=[*OPEN, Status.RETRYING])


OPERATIONS = {
    deed.name: deed
    for deed in (
        BulkOperation("retry", "Retry", "retried",
             "A new round of attempts begins in each job's chain.", job_operations.retry, _ended_badly),
        BulkOperation("cancel", "Cancel", "cancelled",
             "What waits ends at once, what runs at its next chunk; what was written stays.",
             job_operations.cancel, _under_way),
        BulkOperation("priority", "Change the priority of", "given another priority",
             "Of the jobs that wait, the highest priority starts first.", job_operations.set_priority, _under_way),
    )
}  # fmt: skip
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
    """To how many jobs it was done, and how many were passed over for which reason."""

    count: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class BulkSelection:
    """Of `matching` jobs those to which a deed can be done, one of each chain; the others, by why not."""

    matching: int
    fitting: int
    skipped: Counter[str]


def choose(jobs: Jobs, deed: BulkOperation) -> BulkSelection:
    """Count how many of the jobs the deed can be done to, and why not to the others."""
    all_of_them, fitting = _by_status(jobs), _by_status(deed.fitting(jobs))
    skipped: Counter[str] = Counter()
    for status, count in (all_of_them - fitting).items():
        skipped[_why_not(deed, status)] += count
    chains = one_of_each_chain(jobs, deed).count()
    if fitting.total() > chains:
        skipped["were attempts of the same chains as others"] = fitting.total() - chains
    return BulkSelection(all_of_them.total(), chains, skipped)


def one_of_each_chain(jobs: Jobs, deed: BulkOperation) -> QuerySet[Job, int]:
    """The ids of those to which the deed can be done; of several attempts of a chain the latest."""
    by_chain = deed.fitting(jobs.order_by()).annotate(chain=Coalesce("parent_job_id", "pk")).values("chain")
    return by_chain.annotate(latest=Max("pk")).values_list("latest", flat=True)


def _by_status(jobs: Jobs) -> Counter[str]:
    return Counter(dict(jobs.order_by().values_list("status").annotate(Count("pk"))))


def do_to_each(
    job_ids: Iterable[int], deed: BulkOperation, *, by: str, reason: str = "", priority: int | None = None
) -> BulkResult:
    """Do it to each job in a transaction of its own; what cannot be done is counted with its reason.

    Several jobs of one chain count once each, though after the first the others find it done.
    """
    done = BulkResult()
    for job_id in job_ids:
        why_not = do_to_one(job_id, deed, by=by, reason=reason, priority=priority)
        if why_not:
            done.skipped[why_not] += 1
        else:
            done.count += 1
    return done


def do_to_one(job_id: int, deed: BulkOperation, *, by: str, reason: str = "", priority: int | None = None) -> str:
    """Do it to one job; returns why it cannot be done, in words that go on after "they", or nothing."""
    act = partial(deed.act, priority=priority) if deed.name == "priority" else deed.act
    try:
        act(job_id=job_id, by=by, reason=reason)
    except (NotRetryable, NotCancellable, JobEnded) as error:
        return str(error.context.get("they") or _why_not(deed, str(error.context["status"])))
    except JobNotFound:
        return "were gone"
    return ""


def said_of(words: str, count: int) -> str:
    """Why it was not done to so many jobs, as a sentence of them: "they were gone", of one "it was gone"."""
    return f"they {words}" if count != 1 else f"it {'was' + words[4:] if words.startswith('were ') else words}"


def _why_not(deed: BulkOperation, status: str) -> str:
    return WHY_NOT.get((deed.name, status), f"were {status} already")
