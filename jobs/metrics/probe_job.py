"""The probe job: it does nothing, and is sent every minute to see that beat, broker and workers do their part.

Only the latest probe job's row is kept, and the hourly metrics count none, so that neither table nor figures grow.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.counting.hourly_metrics import UNCOUNTED as KIND
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import OPEN
from jobs.metrics.models import Probe

QUEUE = "default"
PRIORITY = 100
"""A probe job overtakes all jobs that wait: many waiting jobs are no sign that the workers are gone."""
AGE = """
SELECT extract(epoch FROM statement_timestamp() - returned_at)::float8 FROM jobs_canary WHERE queue = %s
"""


def send_probe() -> Job | None:
    """Send a probe job and delete the one before it; return None while that one still waits or runs."""
    with transaction.atomic():
        Probe.objects.get_or_create(queue=QUEUE)
        probe = Probe.objects.select_for_update().get(queue=QUEUE)
        if probe.job_id is not None:
            Job.objects.filter(pk=probe.job_id).select_for_update().first()  # a person may be about to retry it
            before = Job.objects.of_chain(probe.job_id)
            if before.filter(status__in=OPEN).exists():
                return None
            before.order_by().delete()
        job = lifecycle.create(kind=KIND, requested_by="schedule", priority=PRIORITY)
        Probe.objects.filter(queue=QUEUE).update(job_id=job.pk, sent_at=Now())
    return job


@job_kind(KIND, queue=QUEUE)
def run_probe(run: Run) -> None:
    """Write down when the probe job ran."""
    run.check()
    Probe.objects.filter(queue=run.job.queue).update(returned_at=Now())


def seconds_since_probe() -> float | None:
    """Return the seconds since a probe job ran; None if none ever did."""
    with connection.cursor() as cursor:
        cursor.execute(AGE, [QUEUE])
        row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])
