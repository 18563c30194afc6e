"""The canary: a job that does nothing, sent each minute, to see that beat, broker or sweep, and a worker do their part.

Only the latest one's record is kept, and none is counted in the tallies, so that neither table nor figures grow by it.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import OPEN
from jobs.metrics.hourly import UNCOUNTED as KIND
from jobs.metrics.models import Canary

QUEUE = "default"
PRIORITY = 100
"""It passes all that waits: a long line is no sign of workers that are gone."""
AGE = """
SELECT extract(epoch FROM statement_timestamp() - returned_at)::float8 FROM jobs_canary WHERE queue = %s
"""


def send_probe() -> Job | None:
    """Send a canary, and forget the one before it; None while that one still waits or runs."""
    with transaction.atomic():
        Canary.objects.get_or_create(queue=QUEUE)
        canary = Canary.objects.select_for_update().get(queue=QUEUE)
        if canary.job_id is not None:
            Job.objects.filter(pk=canary.job_id).select_for_update().first()  # a person may be about to retry it
            before = Job.objects.of_chain(canary.job_id)
            if before.filter(status__in=OPEN).exists():
                return None
            before.order_by().delete()
        job = lifecycle.create(kind=KIND, requested_by="schedule", priority=PRIORITY)
        Canary.objects.filter(queue=QUEUE).update(job_id=job.pk, sent_at=Now())
    return job


@job_kind(KIND, queue=QUEUE)
def run_probe(run: Run) -> None:
    """Note the time."""
    run.check()
    Canary.objects.filter(queue=run.job.queue).update(returned_at=Now())


def seconds_since_probe() -> float | None:
    """Seconds since a canary came through; None if none ever did."""
    with connection.cursor() as cursor:
        cursor.execute(AGE, [QUEUE])
        row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])
