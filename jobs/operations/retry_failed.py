"""Retry all failed chains, each in its own transaction, with a bounded number of rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobs.engine.chains import newest_id
from jobs.engine.models import Job
from jobs.operations.bulk import OPERATIONS, BulkResult, do_on_each
from jobs.operations.selection import Selection

BATCH_SIZE = 100
"""Chains that one query reads."""


def failed_batches(selection: Selection) -> Iterator[list[Job]]:
    """The latest attempts of failed chains, oldest first, without the chains that fail from now on."""
    newest = newest_id()
    after = 0
    while True:
        batch = list(selection.failed().filter(pk__gt=after, pk__lte=newest).order_by("pk")[:BATCH_SIZE])
        if not batch:
            return
        yield batch
        after = batch[-1].pk


def retry_failed(
    selection: Selection, *, by: str, reason: str = "", report_progress: Callable[[BulkResult], None] = lambda _: None
) -> BulkResult:
    """Start a new round for every failed chain of the selection.

    `report_progress` gets the result so far after each batch. A chain is skipped if somebody else has retried it
    meanwhile, or if it was deleted. Raises UnknownQueue and UnknownKind.
    """
    selection.check()
    total = BulkResult()
    for batch in failed_batches(selection):
        result = do_on_each([job.pk for job in batch], OPERATIONS["retry"], by=by, reason=reason)
        total.count += result.count
        total.skipped += result.skipped
        report_progress(total)
    return total
