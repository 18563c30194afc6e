"""Checks of who is at work: beat, workers, queues, and whether jobs go on."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from flagsite.beat import BEAT_LOCK
from flagsite.core.console.terminal import for_how_long
from flagsite.health.doctor.findings import Finding, fine, problem, warning
from jobs.engine import worker_registry
from jobs.engine.models import Job
from jobs.metrics import probe_job
from jobs.operations import queue_operations

TICKS_MISSED = 6
"""So many sweeps that beat did not ask for are too many."""
LONG_WAIT = 60.0
"""Seconds for which a job that is due may wait while workers are there."""
START_BEAT = "Start beat: celery -A flagsite beat. Until then nobody cleans up or counts uses and adoption of flags."
START_WORKER = "Start a worker: celery -A flagsite worker --queues propagation,default (bin/dev starts all)."
SWEEP = "jobs.sweep"
CANARY_LATE = 150.0
"""Seconds; two were missed."""


def check_beat() -> Finding:
    """Whether a beat holds the lock, and when it last asked for a sweep."""
    sweep = (
        PeriodicTask.objects.filter(task=SWEEP).select_related("interval").order_by("-enabled", "-last_run_at").first()
    )
    if sweep is None or not sweep.enabled:
        return problem(
            "The periodic task that sweeps is switched off or deleted.",
            "Switch it on under Periodic tasks in the admin site; its task is jobs.sweep.",
        )
    with connection.cursor() as cursor:
        cursor.execute(LOCK_AND_AGE, {"lock": BEAT_LOCK, "tick": sweep.last_run_at})
        is_held, age = cursor.fetchone()
    last = f"its last tick was {for_how_long(age)} ago" if age is not None else "it has never ticked"
    if not is_held:
        return problem(f"No beat is at work; {last}.", START_BEAT)
    if age is None or age > TICKS_MISSED * _every(sweep):
        return problem(f"A beat is there, but {last}.", "Look at its log, and start it again.")
    return fine(f"Beat is at work; {last}.")


def _every(task: PeriodicTask) -> timedelta:
    """How often beat asks for it; a crontab, which nobody sets for a sweep, at least once a week."""
    return task.interval.schedule.run_every if task.interval else timedelta(weeks=1)


LOCK_AND_AGE = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %(lock)s
                  AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
       clock_timestamp() - %(tick)s::timestamptz
"""


def check_workers() -> Finding:
    """Whether each queue has a worker that is alive."""
    if settings.JOBS_INLINE:
        return fine("None is needed: jobs run in the request (JOBS_INLINE).")
    alive = list(worker_registry.alive())
    served = {queue for worker in alive for queue in worker.queues}
    lonely = [line.queue.name for line in queue_operations.queue_statuses() if line.queue.name not in served]
    if not alive:
        return problem("No worker is alive; jobs wait.", START_WORKER)
    slots = sum(worker.concurrency for worker in alive)
    words = f"{len(alive)} alive with {slots} slots"
    if lonely:
        return problem(f"{words}, none for the queue {', '.join(lonely)}.", START_WORKER)
    return fine(f"{words}.")


def check_queues() -> Finding:
    """Whether queues are open and their lines short."""
    lines = queue_operations.queue_statuses()
    paused = [line for line in lines if line.queue.paused_at]
    if paused:
        named = "; ".join(
            f"{line.queue.name} by {line.queue.paused_by}"
            + (f" ({line.queue.pause_reason})" if line.queue.pause_reason else "")
            + f", {line.due:,} jobs wait"
            for line in paused
        )
        return warning(f"Paused: {named}.", f"bin/manage resume_queue {paused[0].queue.name} lets its jobs go on.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    waits = [((now - line.oldest_due_at), line) for line in lines if line.oldest_due_at]
    longest, line = max(waits, key=lambda wait: wait[0], default=(None, None))
    if longest is not None and line is not None and longest.total_seconds() > LONG_WAIT:
        return warning(
            f"In {line.queue.name} a job has been due for {for_how_long(longest)}; {line.due:,} wait.",
            "More workers, a higher concurrency, or bin/manage jobs --status IN_PROGRESS: who blocks the line?",
        )
    due, running = sum(line.due for line in lines), sum(line.running for line in lines)
    return fine(f"All open; {due:,} jobs are due, {running:,} run.")


def check_rescue() -> Finding:
    """Whether jobs of dead workers are rescued."""
    lost = Job.objects.expired().extra(
        where=["lease_expires_at < statement_timestamp() - %s * interval '1 second'"],
        params=[TICKS_MISSED * settings.JOB_SWEEP_SECONDS],
    )
    found = list(lost.filter(~Q(worker="")).order_by("lease_expires_at").values_list("pk", flat=True)[:1_000])
    if found:
        named = ", ".join(str(pk) for pk in found[:5])
        return problem(
            f"{len(found):,} jobs have lost their worker and nobody rescues them: {named}{' …' if found[5:] else ''}.",
            "Beat and each worker do it; start one of them, and look at its log for rescue_failed.",
        )
    return fine("No job waits for rescue.")


def check_canary() -> Finding:
    """Whether the test job of each minute comes through, all the way from beat to a worker."""
    age = probe_job.seconds_since_probe()
    if age is None:
        return warning("No test job has come through yet.", "Beat sends one each minute; look again in a while.")
    ago = for_how_long(timedelta(seconds=age))
    if age > CANARY_LATE:
        words = f"The last test job came through {ago} ago; one is sent each minute."
        return problem(words, "Beat sends it, a worker of its queue runs it: what do the lines above say of them?")
    return fine(f"The last test job came through {ago} ago.")
