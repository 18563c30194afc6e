"""What runs later: jobs that are due at a later time, periodic tasks, and the beat that sends these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from celery.schedules import crontab
from django.db import connection
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from flagsite.beat import BEAT_LOCK
from flagsite.core.ids import id_in
from flagsite.periodic_tasks import operations
from jobs.engine.chains import job_for, jobs_of
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.errors import NotCancellable, ScheduledNotFound
from jobs.operations import job_operations
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.errors import OutsideOfYourSubtree, RoleNeeded

JOB, TASK = "job", "task"
BEAT_AT_WORK = """
SELECT activity.backend_start, host(activity.client_addr)
  FROM pg_locks held JOIN pg_stat_activity activity ON activity.pid = held.pid
 WHERE held.locktype = 'advisory' AND held.granted AND held.classid = 0 AND held.objid = %s AND held.objsubid = 1
   AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class SchedulerStatus:
    """Which beat is at work, when it has last sent a task, and what it sends next."""

    since: datetime | None
    """When the beat at work has connected to take the lock; None if no beat is at work."""
    address: str | None
    """The address from which it is connected; None for a socket of the same machine."""
    last_tick_at: datetime | None
    next_task: PeriodicTask | None
    next_due_at: datetime | None

    @property
    def is_running(self) -> bool:
        return self.since is not None


def later_jobs(caller: Caller) -> QuerySet[Job]:
    """Return the jobs that the caller may see and that wait for a later time, by id."""
    return jobs_of(caller).filter(status=Status.PENDING, run_at__gt=Now()).order_by("id")


def periodic_tasks_of(caller: Caller) -> list[PeriodicTask]:
    """Return the periodic tasks that the caller may see: all, or none for a caller with a scope."""
    return list(operations.all_tasks()) if caller.organization_id is None else []


def remove(caller: Caller, scheduled_id: str, *, reason: str = "") -> Job | None:
    """Cancel a job that waits, such as `job-17`, or delete a periodic task, such as `task-3`. Returns the job.

    Raises ScheduledNotFound, JobNotFound, PeriodicTaskNotFound, OutsideOfYourSubtree, RoleNeeded, NotCancellable.
    """
    sort, _, number = scheduled_id.partition("-")
    row_id = id_in(number)
    if row_id is None or sort not in (JOB, TASK):
        raise ScheduledNotFound
    if sort == JOB:
        job = job_for(caller, row_id)
        if job.status == Status.IN_PROGRESS:
            raise NotCancellable(f"Job {row_id} runs already. POST /cancel-job/{row_id} cancels it.", status=job.status)
        return job_operations.cancel(job_id=row_id, by=caller.name, reason=reason)
    if caller.organization_id is not None:
        raise OutsideOfYourSubtree("Your key is bound to an organization, and all organizations share periodic tasks.")
    if not caller.may(Role.ADMIN):
        raise RoleNeeded("The deletion of a periodic task needs the role admin.")
    operations.delete(row_id)
    return None


def next_run_at(task: PeriodicTask) -> datetime | None:
    """Return when beat sends the task next; None if it is disabled. A run that was missed is due now."""
    if not task.enabled:
        return None
    now, schedule = timezone.now(), task.schedule
    remaining: timedelta = schedule.remaining_estimate(schedule.maybe_make_aware(task.last_run_at or now))
    due = now + max(remaining, timedelta())
    if isinstance(schedule, crontab) and remaining > timedelta():
        # A crontab comes at a whole minute. Its own clock is a moment ahead of `now`.
        due = (due + timedelta(seconds=0.5)).replace(microsecond=0)
    return max(due, task.start_time) if task.start_time else due


def scheduler_status() -> SchedulerStatus:
    """Return which beat is at work, its last tick, and the task that it sends next."""
    with connection.cursor() as cursor:
        cursor.execute(BEAT_AT_WORK, [BEAT_LOCK])
        since, address = cursor.fetchone() or (None, None)
    times = [(due, task) for task in operations.all_tasks() if (due := next_run_at(task)) is not None]
    first_due, first = min(times, key=lambda one: one[0], default=(None, None))
    last = PeriodicTask.objects.aggregate(newest=Max("last_run_at"))["newest"]
    return SchedulerStatus(since, address, last, first, first_due)
