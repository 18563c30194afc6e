"""Checks of beat, workers and queues, and of whether jobs run to their end."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from flagsite.beat import BEAT_LOCK
from flagsite.core.console.terminal import format_duration
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning
from jobs.engine import worker_registry
from jobs.engine.models import Job
from jobs.metrics import probe_job
from jobs.operations import queue_operations

MISSED_SWEEPS = 6
"""After so many missed sweeps beat, or the rescue of jobs, is broken."""
LONG_WAIT_SECONDS = 60.0
"""How long a due job may wait while its queue has workers."""
START_BEAT = "Start beat: celery -A flagsite beat. Until then nobody cleans up or counts uses and adoption of flags."
START_WORKER = "Start a worker: celery -A flagsite worker --queues propagation,default (bin/dev starts all)."
SWEEP = "jobs.sweep"
PROBE_JOB_LATE_SECONDS = 150.0
"""Two probe jobs in a row did not come through."""


def check_beat() -> CheckResult:
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
        cursor.execute(BEAT_LOCK_AND_AGE, {"lock": BEAT_LOCK, "tick": sweep.last_run_at})
        is_held, age = cursor.fetchone()
    last_tick = f"its last tick was {format_duration(age)} ago" if age is not None else "it has never ticked"
    if not is_held:
        return problem(f"No beat is at work; {last_tick}.", START_BEAT)
    if age is None or age > MISSED_SWEEPS * _interval(sweep):
        return problem(f"A beat is there, but {last_tick}.", "Look at its log, and start it again.")
    return ok(f"Beat is at work; {last_tick}.")


def _interval(task: PeriodicTask) -> timedelta:
    """How often beat sends the task; a week for a task with a crontab, which nobody sets for the sweep."""
    return task.interval.schedule.run_every if task.interval else timedelta(weeks=1)


BEAT_LOCK_AND_AGE = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %(lock)s
                  AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
       clock_timestamp() - %(tick)s::timestamptz
"""


def check_workers() -> CheckResult:
    """Whether each queue has a worker that is alive."""
    if settings.JOBS_INLINE:
        return ok("None is needed: jobs run in the request (JOBS_INLINE).")
    alive = list(worker_registry.alive())
    served = {queue for worker in alive for queue in worker.queues}
    unserved = [status.queue.name for status in queue_operations.queue_statuses() if status.queue.name not in served]
    if not alive:
        return problem("No worker is alive; jobs wait.", START_WORKER)
    slots = sum(worker.concurrency for worker in alive)
    summary = f"{len(alive)} alive with {slots} slots"
    if unserved:
        return problem(f"{summary}, none for the queue {', '.join(unserved)}.", START_WORKER)
    return ok(f"{summary}.")


def check_queues() -> CheckResult:
    """Whether no queue is paused and no due job waits long."""
    statuses = queue_operations.queue_statuses()
    paused = [status for status in statuses if status.queue.paused_at]
    if paused:
        named = "; ".join(
            f"{status.queue.name} by {status.queue.paused_by}"
            + (f" ({status.queue.pause_reason})" if status.queue.pause_reason else "")
            + f", {status.due:,} jobs wait"
            for status in paused
        )
        return warning(f"Paused: {named}.", f"bin/manage resume_queue {paused[0].queue.name} lets its jobs go on.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    waits = [(now - status.oldest_due_at, status) for status in statuses if status.oldest_due_at]
    longest, status = max(waits, key=lambda wait: wait[0], default=(None, None))
    if longest is not None and status is not None and longest.total_seconds() > LONG_WAIT_SECONDS:
        return warning(
            f"In {status.queue.name} a job has been due for {format_duration(longest)}; {status.due:,} wait.",
            "More workers, a higher concurrency, or bin/manage jobs --status IN_PROGRESS: who blocks the line?",
        )
    due, running = sum(status.due for status in statuses), sum(status.running for status in statuses)
    return ok(f"All open; {due:,} jobs are due, {running:,} run.")


def check_rescue() -> CheckResult:
    """Whether the jobs of dead workers are rescued in time."""
    lost = Job.objects.expired().extra(
        where=["lease_expires_at < statement_timestamp() - %s * interval '1 second'"],
        params=[MISSED_SWEEPS * settings.JOB_SWEEP_SECONDS],
    )
    found = list(lost.filter(~Q(worker="")).order_by("lease_expires_at").values_list("pk", flat=True)[:1_000])
    if found:
        named = ", ".join(str(pk) for pk in found[:5])
        return problem(
            f"{len(found):,} jobs have lost their worker and nobody rescues them: {named}{' …' if found[5:] else ''}.",
            "Beat and each worker do it; start one of them, and look at its log for rescue_failed.",
        )
    return ok("No job waits for rescue.")


def check_probe_job() -> CheckResult:
    """Whether probe jobs come through, all the way from beat to a worker."""
    age = probe_job.seconds_since_probe()
    if age is None:
        return warning("No test job has come through yet.", "Beat sends one each minute; look again in a while.")
    ago = format_duration(timedelta(seconds=age))
    if age > PROBE_JOB_LATE_SECONDS:
        message = f"The last test job came through {ago} ago; one is sent each minute."
        return problem(message, "Beat sends it, a worker of its queue runs it: what do the lines above say of them?")
    return ok(f"The last test job came through {ago} ago.")
