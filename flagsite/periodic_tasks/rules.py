"""The rules of periodic tasks, which the API, the admin site and the commands share, and their audit entries."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import Any

from celery import current_app
from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs.errors import InvalidJobArguments, UnknownKind
from jobs.operations import enqueue
from orgs.audit import audit_log

Schedule = PeriodicTask | IntervalSchedule | CrontabSchedule
"""A row that the audit log calls a schedule."""
LONGEST = timedelta(days=3_660)
"""The longest interval. Beat cannot add intervals of millions of years to a date."""
RECORDED: dict[type[Any], tuple[str, ...]] = {
    PeriodicTask: ("name", "task", "kwargs", "enabled", "interval", "crontab", "start_time", "expire_seconds"),
    IntervalSchedule: ("every", "period"),
    CrontabSchedule: ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"),
}
"""The columns that the audit log records."""


def known_tasks() -> list[str]:
    """Return the names of the tasks of Flagsite's workers."""
    current_app.loader.import_default_modules()
    return [name for name in sorted(current_app.tasks) if not name.startswith("celery.")]


ENQUEUE, CLEAN_UP = "jobs.enqueue", "jobs.clean_up"
"""The task that enqueues a job of the kind that its keyword arguments name, and the task of the daily clean-up."""


def keyword_arguments_of(task: PeriodicTask) -> dict[str, Any]:
    """Return the keyword arguments with which beat sends the task; none if the row has no JSON object."""
    try:
        values = json.loads(task.kwargs or "{}")
    except ValueError:
        values = {}
    return values if isinstance(values, dict) else {}


def check_keyword_arguments(task: PeriodicTask) -> None:
    """Refuse arguments that the task does not take, and jobs that cannot be enqueued. Raises ValidationError."""
    known = current_app.tasks.get(task.task)
    if known is None:
        return
    values = keyword_arguments_of(task)
    try:
        inspect.signature(known.run).bind(**values)
    except TypeError as error:
        raise ValidationError({"kwargs": f"The task {task.task} does not take this: {error}."}) from error
    if task.task == ENQUEUE:
        try:
            enqueue.checked_arguments(enqueue.enqueueable(values["kind"]), values.get("arguments") or {})
        except (UnknownKind, InvalidJobArguments) as error:
            raise ValidationError({"kwargs": error.detail}) from error


def check_interval(interval: IntervalSchedule) -> None:
    """Refuse an interval that is longer than ten years. Raises ValidationError with the field."""
    try:
        is_too_long = timedelta(**{interval.period: interval.every}) > LONGEST
    except OverflowError:
        is_too_long = True
    if is_too_long:
        raise ValidationError({"every": f"An interval is at most {LONGEST.days:,} days long."})


def subject_of(schedule: Any) -> str:
    """Return the schedule's name in the audit log."""
    return f"schedule:{schedule.name if isinstance(schedule, PeriodicTask) else schedule}"


def described(schedule: Any) -> dict[str, Any]:
    """Return the values of the recorded columns, as JSON."""
    values = {name: getattr(schedule, name) for name in RECORDED[type(schedule)]}
    return {name: value if isinstance(value, (bool, int)) else _text(value) for name, value in values.items()}


def record_saved(schedule: Any, before: dict[str, Any] | None) -> None:
    """Add the audit entry of a schedule that was just created (`before` is None) or changed."""
    after = described(schedule)
    if before is None:
        audit_log.record("schedule.create", subject_of(schedule), after=after)
    elif before != after:
        audit_log.record("schedule.change", subject_of(schedule), before=before, after=after)


def record_run(task: PeriodicTask) -> None:
    """Add the audit entry of a task that a person runs now."""
    audit_log.record("schedule.run", subject_of(task), task=task.task)


def record_deleted(schedule: Any) -> None:
    """Add the audit entry of a schedule that is deleted next."""
    audit_log.record("schedule.delete", subject_of(schedule), before=described(schedule))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
