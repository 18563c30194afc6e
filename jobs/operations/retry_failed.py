"""Retrying all that failed: chain by chain, each in its own transaction, a bounded number of rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db.models import Max

from jobs.engine.models import Job
from jobs.operations.bulk import OPERATIONS, BulkResult, do_to_each
from jobs.operations.selection import Selection

AT_ONCE = 100
"""Chains that are looked up together."""


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
    selection: Selection, *, by: str, reason: str = "", tell: Callable[[BulkResult], None] = lambda _: None
) -> BulkResult:
    """Start a new round for every failed chain of the selection; `tell` hears of it after each batch.

    A chain that somebody else has retried or that was deleted meanwhile is skipped. Raises UnknownQueue, UnknownKind.
    """
    selection.check()
    outcome = BulkResult()
    for batch in failed_batches(selection):
        done = do_to_each([job.pk for job in batch], OPERATIONS["retry"], by=by, reason=reason)
        outcome.count += done.count
        outcome.skipped += done.skipped
        tell(outcome)
    return outcome
