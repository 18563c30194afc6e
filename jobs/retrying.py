"""Retrying all that failed: chain by chain, each in its own transaction, a bounded number of rows in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db.models import Max

from jobs import operations
from jobs.errors import JobNotFound, NotRetryable
from jobs.models import Job
from jobs.selection import Selection

AT_ONCE = 100
"""Chains that are looked up together."""
MOST_NAMED = 1_000


@dataclass(slots=True)
class Retried:
    """What became of it: how many chains, the first of them by name, and why others were left alone."""

    retried: int = 0
    skipped: int = 0
    job_ids: list[tuple[int, int]] = field(default_factory=list)
    """The failed attempt and the new one."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why chains were skipped, without their numbers, and how many for it."""


def failed_batches(selection: Selection) -> Iterator[list[Job]]:
    """The latest attempts of failed chains, oldest first; those that fail from now on are not among them."""
    newest = Job.objects.aggregate(newest=Max("pk"))["newest"] or 0
    after = 0
    while True:
        batch = list(selection.failed().filter(pk__gt=after, pk__lte=newest).order_by("pk")[:AT_ONCE])
        if not batch:
            return
        yield batch
        after = batch[-1].pk


def retry_failed(
    selection: Selection, *, by: str, reason: str = "", tell: Callable[[Retried], None] = lambda _: None
) -> Retried:
    """Start a new round for every failed chain of the selection; `tell` hears of it after each batch.

    A chain that somebody else has retried or that was deleted meanwhile is skipped. Raises UnknownQueue, UnknownKind.
    """
    selection.check()
    outcome = Retried()
    for batch in failed_batches(selection):
        for job in batch:
            _retry(job, outcome, by=by, reason=reason)
        tell(outcome)
    return outcome


def _retry(job: Job, outcome: Retried, *, by: str, reason: str) -> None:
    try:
        again = operations.retry(job_id=job.pk, by=by, reason=reason)
    except NotRetryable as refusal:
        outcome.skipped += 1
        outcome.reasons[f"the chain is {refusal.context['status']} by now"] += 1
    except JobNotFound:
        outcome.skipped += 1
        outcome.reasons["the job was deleted meanwhile"] += 1
    else:
        outcome.retried += 1
        if len(outcome.job_ids) < MOST_NAMED:
            outcome.job_ids.append((job.pk, again.pk))
