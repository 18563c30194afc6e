"""Checks of jobs: beat, workers, queues, the rescuer and the probe job."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from flagsite import crontabs
from flagsite.beat import BEAT_LOCK
from flagsite.core.console.terminal import format_duration
from flagsite.core.words import counted
from flagsite.health.doctor.check_result import CheckResult, ok, problem, warning
from jobs.engine import worker_registry
from jobs.engine.models import Job
from jobs.metrics import probe_job
from jobs.operations import queue_operations

MISSED_SWEEPS = 6
"""If so many runs of the rescuer in a row are missing, beat or the rescuer does not work."""
LONG_WAIT_SECONDS = 60.0
"""A job that has been due for a longer time is a warning."""
START_BEAT = (
    "Start beat: celery -A flagsite beat. "
    "Without beat, Flagsite neither cleans up nor counts usage and adoption of flags."
)
START_WORKER = "Start a worker for all queues: python manage.py run_worker (bin/dev starts everything)."
CORRECT_CRONTAB = (
    "Correct the crontab: bin/manage change_periodic_task NAME --cron '30 2 * * *'. The fields are minute, hour, day "
    "of month, month and day of week, in which 0 is Sunday."
)
SWEEP = "jobs.sweep"
PROBE_JOB_LATE_SECONDS = 150.0
"""After this time, two probe jobs in a row have not completed."""


def check_beat() -> CheckResult:
    """Check that a beat holds the lock, and that it has sent the task of the rescuer recently."""
    sweep = (
        PeriodicTask.objects.filter(task=SWEEP).select_related("interval").order_by("-enabled", "-last_run_at").first()
    )
    if sweep is None or not sweep.enabled:
        return problem(
            "The periodic task that rescues jobs is disabled or deleted.",
            "Enable the task jobs.sweep under Periodic tasks in the admin site, or add it there.",
        )
    with connection.cursor() as cursor:
        cursor.execute(BEAT_LOCK_AND_AGE, {"lock": BEAT_LOCK, "tick": sweep.last_run_at})
        is_held, age = cursor.fetchone()
    last_tick = f"the last tick was {format_duration(age)} ago" if age is not None else "there was no tick yet"
    if not is_held:
        return problem(f"Beat is not running; {last_tick}.", START_BEAT)
    if age is None or age > MISSED_SWEEPS * _interval(sweep):
        return problem(f"Beat is running, but {last_tick}.", "Look into the log of beat, and restart beat.")
    return ok(f"Beat is running; {last_tick}.")


def _interval(task: PeriodicTask) -> timedelta:
    """How often beat sends the task; a week for a task with a crontab, which is unusual for the rescuer."""
    return task.interval.schedule.run_every if task.interval else timedelta(weeks=1)


BEAT_LOCK_AND_AGE = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %(lock)s
                  AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
       clock_timestamp() - %(tick)s::timestamptz
"""


def check_periodic_tasks() -> CheckResult:
    """Check that each enabled periodic task comes: that beat understands its crontab, and that some day has it."""
    tasks = PeriodicTask.objects.filter(enabled=True).select_related("crontab").order_by("name")
    never = [task for task in tasks if task.crontab is not None and _never_comes(task.crontab)]
    if never:
        named = "; ".join(f"{task.name} ({_line_of(task.crontab)})" for task in never)
        return problem(f"Periodic tasks that never come: {named}.", CORRECT_CRONTAB)
    return ok(f"Each of {counted(len(tasks), 'enabled periodic task')} comes.")


def _never_comes(crontab: CrontabSchedule) -> bool:
    try:
        crontabs.check_crontab(crontab)
    except ValidationError:
        return True
    return False


def _line_of(crontab: CrontabSchedule) -> str:
    return " ".join(getattr(crontab, name) for name in crontabs.FIELDS)


def check_workers() -> CheckResult:
    """Check that each queue has a worker that is alive. A queue of one's own may lack one while no job of it is due."""
    if settings.JOBS_INLINE:
        return ok("No worker is needed, because JOBS_INLINE is on and each job runs in its request.")
    alive = list(worker_registry.alive())
    statuses, needed = queue_operations.queue_statuses(), queue_operations.queues_of_kinds()
    if not alive:
        return problem("No worker is alive; jobs wait.", START_WORKER)
    unserved = [status for status in statuses if not status.workers]
    named = ", ".join(
        status.queue.name + (f" ({counted(status.due, 'due job')})" if status.due else "") for status in unserved
    )
    slots = sum(worker.concurrency for worker in alive)
    summary = f"Workers alive: {len(alive)}, with {counted(slots, 'slot')}"
    if unserved:
        is_needed = any(status.due or status.queue.name in needed for status in unserved)
        return (problem if is_needed else warning)(f"{summary}. Queues without a worker: {named}.", START_WORKER)
    return ok(f"{summary}.")


def check_queues() -> CheckResult:
    """Check that no queue is paused, and that no due job has waited for a long time."""
    statuses = queue_operations.queue_statuses()
    paused = [status for status in statuses if status.queue.paused_at]
    if paused:
        named = "; ".join(
            f"{status.queue.name} by {status.queue.paused_by}"
            + (f" ({status.queue.pause_reason})" if status.queue.pause_reason else "")
            + f", with {status.due:,} due jobs"
            for status in paused
        )
        return warning(
            f"Paused: {named}.", f"Run bin/manage resume_queue {paused[0].queue.name} to let its jobs start again."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    waits = [(now - status.oldest_due_at, status) for status in statuses if status.oldest_due_at]
    longest, status = max(waits, key=lambda wait: wait[0], default=(None, None))
    if longest is not None and status is not None and longest.total_seconds() > LONG_WAIT_SECONDS:
        return warning(
            f"In the queue {status.queue.name} a job has been due for {format_duration(longest)}. "
            f"Due jobs: {status.due:,}.",
            "Start more workers, or raise the concurrency. bin/manage jobs --status IN_PROGRESS lists running jobs.",
        )
    due, running = sum(status.due for status in statuses), sum(status.running for status in statuses)
    return ok(f"No queue is paused. Due jobs: {due:,}, running jobs: {running:,}.")


def check_kinds() -> CheckResult:
    """Check that a worker knows the kind of each job that has been due for a while."""
    waiting = worker_registry.kinds_nobody_knows()
    if waiting:
        named = ", ".join(f"{one.kind} ({counted(one.count, 'job')} in the queue {one.queue})" for one in waiting)
        return problem(
            f"Due jobs of kinds that no worker knows: {named}.",
            "Start workers of the release that has these kinds. If no release has them any more, cancel the jobs.",
        )
    return ok("Workers know the kinds of all due jobs.")


def check_rescue() -> CheckResult:
    """Check that the rescuer ends the jobs of dead workers in time."""
    lost = Job.objects.expired().extra(
        where=["lease_expires_at < statement_timestamp() - %s * interval '1 second'"],
        params=[MISSED_SWEEPS * settings.JOB_SWEEP_SECONDS],
    )
    lost_ids = list(lost.filter(~Q(worker="")).order_by("lease_expires_at").values_list("pk", flat=True)[:1_000])
    if lost_ids:
        named = ", ".join(str(pk) for pk in lost_ids[:5]) + (" …" if lost_ids[5:] else "")
        return problem(
            f"Jobs that lost their worker and are not rescued: {len(lost_ids):,} ({named}).",
            "Start beat or a worker: each runs the rescuer. Then look for rescue_failed in its log.",
        )
    return ok("No job has lost its worker.")


def check_probe_job() -> CheckResult:
    """Check that probe jobs complete, which proves that beat, broker and workers work together."""
    age = probe_job.seconds_since_probe()
    if age is None:
        return warning(
            "No probe job has completed yet.", "Beat creates one every minute. Run doctor again in two minutes."
        )
    ago = format_duration(timedelta(seconds=age))
    if age > PROBE_JOB_LATE_SECONDS:
        message = f"The last probe job completed {ago} ago, but there should be one every minute."
        return problem(
            message,
            "Beat creates the probe job, and a worker of its queue runs it. See the lines of beat and workers above.",
        )
    return ok(f"The last probe job completed {ago} ago.")
