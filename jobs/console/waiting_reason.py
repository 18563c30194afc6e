"""The reason why a job waits, for the person who follows it."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.utils import timezone

from jobs.engine import worker_registry
from jobs.engine.kinds import find_kind
from jobs.engine.models import Job, Queue
from jobs.engine.states import Status
from jobs.templatetags.job_formats import duration


def _limit_that_holds(job: Job, queue: Queue) -> str | None:
    """Why the rate of the queue or the concurrency key of the job lets it wait, as a sentence; None if they do not."""
    if queue.rate_allowed is not None and queue.rate_arrival_at is not None:
        seconds = (queue.rate_arrival_at - queue.rate_tolerance - timezone.now()).total_seconds()
        if seconds > 0:
            rate = f"{queue.rate_allowed:,} jobs in {queue.rate_seconds:,} s"
            return f"The queue {queue.name} may start {rate}; the next one may start in {duration(seconds)}."
    if job.concurrency_key and _is_used_up(job):
        return f"Other jobs of the kind {job.kind} run for the same {job.concurrency_key.partition(':')[2]!r}."
    return None


def _lack_of_workers(job: Job) -> str | None:
    """Why no worker can start the job, as a sentence; None if one can."""
    if not worker_registry.alive(job.queue).exists():
        return f"No worker is alive for the queue {job.queue}; the job waits until one starts."
    if not worker_registry.knows(job.queue, job.kind):
        return f"No worker of the queue {job.queue} knows the kind {job.kind}; the job waits until one starts."
    return None


def _is_used_up(job: Job) -> bool:
    """Whether as many jobs run as the concurrency key of the job allows."""
    running = Job.objects.filter(
        queue=job.queue, kind=job.kind, status=Status.IN_PROGRESS, concurrency_key=job.concurrency_key
    )
    kind = find_kind(job.kind)
    return kind is not None and running.count() >= kind.key_limit


def waiting_reason(job_id: int) -> str | None:
    """The reason why the attempt waits, as a sentence. None if the attempt runs, has ended, or starts in a moment."""
    wait = ExpressionWrapper(F("run_at") - Now(), output_field=DurationField())
    job = Job.objects.filter(pk=job_id, status=Status.PENDING).annotate(wait=wait).first()
    if job is None:
        return None
    queue = Queue.objects.get(name=job.queue)
    if queue.paused_at:
        why = f": {queue.pause_reason}" if queue.pause_reason else ""
        resume = f"To resume the queue: bin/manage resume_queue {queue.name}"
        return f"The queue {queue.name} is paused by {queue.paused_by}{why}. {resume}"
    if lack := _lack_of_workers(job):
        return lack
    if job.wait > timedelta(seconds=1):
        return f"The next attempt begins in {duration(job.wait)}, at {job.run_at:%Y-%m-%d %H:%M:%S} UTC."
    running = Job.objects.filter(queue=queue.name, status=Status.IN_PROGRESS).count()
    if queue.concurrency is not None and running >= queue.concurrency:
        return f"The queue {queue.name} runs as many jobs as its concurrency allows: {running:,}."
    if limit := _limit_that_holds(job, queue):
        return limit
    slots = sum(worker.concurrency for worker in worker_registry.alive(queue.name))
    if running >= slots:
        return f"The workers are busy; running jobs of the queue {queue.name}: {running:,}."
    return None
