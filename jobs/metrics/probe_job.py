"""The probe job: it does nothing, and runs every minute to prove that Celery beat, the broker and the workers work.

Only the latest probe job is kept, and the hourly metrics do not count probe jobs.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.counting.hourly_metrics import PROBE_JOB_KIND as KIND
from jobs.engine import lifecycle
from jobs.engine.kinds import job_kind
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.engine.states import OPEN
from jobs.metrics.models import Probe

QUEUE = "default"
PRIORITY = 100
"""A probe job starts before other waiting jobs, so that many waiting jobs do not look like dead workers."""
AGE = """
SELECT extract(epoch FROM statement_timestamp() - returned_at)::float8 FROM jobs_canary WHERE queue = %s
"""


def send_probe() -> Job | None:
    """Create a probe job and delete the previous one. Returns None if the previous probe job still waits or runs."""
    with transaction.atomic():
        Probe.objects.get_or_create(queue=QUEUE)
        probe = Probe.objects.select_for_update().get(queue=QUEUE)
        if probe.job_id is not None:
            Job.objects.filter(pk=probe.job_id).select_for_update().first()  # a person may retry it at the same time
            previous = Job.objects.of_chain(probe.job_id)
            if previous.filter(status__in=OPEN).exists():
                return None
            previous.order_by().delete()
        job = lifecycle.create(kind=KIND, requested_by="schedule", priority=PRIORITY)
        Probe.objects.filter(queue=QUEUE).update(job_id=job.pk, sent_at=Now())
    return job


@job_kind(KIND, queue=QUEUE)
def run_probe(run: Run) -> None:
    """Record that the probe job runs now."""
    run.check()
    Probe.objects.filter(queue=run.job.queue).update(returned_at=Now())


def seconds_since_probe() -> float | None:
    """Return the seconds since the last run of a probe job, or None if no probe job has run yet."""
    with connection.cursor() as cursor:
        cursor.execute(AGE, [QUEUE])
        row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])
