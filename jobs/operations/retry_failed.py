"""Retry all failed chains, each in its own transaction, with a bounded number of rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobs.engine.chains import newest_id
from jobs.engine.models import Job
from jobs.operations import bulk_job
from jobs.operations.bulk import MAX_JOBS_IN_REQUEST, OPERATIONS, BulkResult, count_selection, do_on_each
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


def retry_failed_in_request(selection: Selection, *, by: str, reason: str = "") -> BulkResult | Job:
    """Start a new round for every failed chain, within the time of a request.

    For more than MAX_JOBS_IN_REQUEST chains, create the bulk job that does it, and return this job. Raises UnknownQueue
    and UnknownKind.
    """
    selection.check()
    failed, operation = selection.failed(), OPERATIONS["retry"]
    counted = count_selection(failed, operation)
    if counted.applicable <= MAX_JOBS_IN_REQUEST:
        return retry_failed(selection, by=by, reason=reason)
    top_id = selection.organization.pk if selection.organization else None
    return bulk_job.start(failed, operation, counted, by=by, reason=reason, organization_id=top_id)
