"""Compute the statistics: one batch of ten jobs side by side, and the jobs themselves.

If one of them fails, the batch is PARTIAL, and the others are fresh. "Retry what failed" computes that one alone. After
the end, a job lets all processes read their caches again (`flags.serving.invalidation_job`).
"""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from flags.serving import invalidation_job
from flags.statistics.figures import STATISTICS
from flags.statistics.models import Statistic
from jobs.batches.creation import Callback, CreatedBatch, Member, create_batch
from jobs.batches.models import Batch
from jobs.engine.kinds import DEFAULT_ATTEMPT_SECONDS, NO_ARGUMENTS, job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run

KIND = "statistic"
ALL_KIND = "statistics"
BATCH_KEY = "statistics"
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"title": "Statistic", "description": "What to compute.", "enum": list(STATISTICS)}},
    "required": ["name"],
    "additionalProperties": False,
}


def start(*, by: str = "", reason: str = "", trigger: Job.Trigger = Job.Trigger.ADMIN) -> CreatedBatch:
    """Start the computation of all statistics, or return the batch that is computing them already."""
    return create_batch(
        "Statistics",
        [Member(kind=KIND, arguments={"name": name}, name=name) for name in STATISTICS],
        key=BATCH_KEY,
        on_finish=Callback(invalidation_job.KIND, {"all": True}),
        trigger=trigger,
        by=by,
        reason=reason,
    )


def latest_batch() -> Batch | None:
    """Return the batch that computes the statistics, or that has computed them last."""
    return Batch.objects.filter(key=BATCH_KEY, organization=None).order_by("-id").first()


@job_kind(
    KIND,
    summary="Compute one statistic.",
    arguments=ARGUMENTS,
    attempt_seconds=DEFAULT_ATTEMPT_SECONDS,
    unique_key=lambda arguments: f"{KIND}:{arguments.get('name')}",
    concurrency_key=lambda organization_id, arguments: str(arguments.get("name")),
)
def compute(run: Run) -> None:
    """Compute the points of a statistic, and replace the earlier ones."""
    figures = STATISTICS[run.job.arguments["name"]]
    began = time.monotonic()
    points = figures.compute()
    run.check()
    with transaction.atomic():
        values = {"points": points, "computed_at": Now(), "seconds": time.monotonic() - began, "job_id": run.job.pk}
        Statistic.objects.update_or_create(name=figures.name, defaults=values)
        run.record_progress(total=1, processed=1)
    run.set_result({"name": figures.name, "points": len(points)})


@job_kind(
    ALL_KIND,
    summary="Start the computation of all statistics, as a batch.",
    arguments=NO_ARGUMENTS,
    attempt_seconds=DEFAULT_ATTEMPT_SECONDS,
    unique_key=lambda arguments: ALL_KIND,
)
def compute_all(run: Run) -> None:
    """Start the batch, for periodic tasks and for people who enqueue jobs. A repetition finds the open batch."""
    trigger = Job.Trigger.SCHEDULE if run.job.trigger == Job.Trigger.SCHEDULE else Job.Trigger.ADMIN
    created = start(by=run.job.requested_by, reason=run.job.reason, trigger=trigger)
    run.set_result({"batchId": created.batch.pk, "deduplicated": created.is_deduplicated})
