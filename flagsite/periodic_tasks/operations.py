"""Create, change, run and delete a periodic task together with its interval or crontab.

Tasks share equal intervals and crontabs. One that no task uses any more is deleted with the change of its last task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from kombu.exceptions import OperationalError

from flagsite import crontabs
from flagsite.beat import RUN_BY_BEAT
from flagsite.core.ids import id_in
from flagsite.periodic_tasks import rules
from jobs.errors import InvalidPeriodicTask, PeriodicTaskNotFound, PeriodicTaskNotSent
from jobs.operations import cleanup
from jobs.operations.enqueue import enqueueable

WIRE_NAMES = {
    "start_time": "startTime", "expire_seconds": "expireSeconds", "day_of_month": "dayOfMonth",
    "month_of_year": "monthOfYear", "day_of_week": "dayOfWeek", "timezone": "timeZone", "kwargs": "keywordArguments",
}  # fmt: skip
"""The fields whose name in JSON is not that of the column."""
ONE_SCHEDULE = "A periodic task has either an interval or a crontab. Send one of them."


def all_tasks() -> QuerySet[PeriodicTask]:
    """Return all periodic tasks with their intervals and crontabs, by id."""
    return PeriodicTask.objects.select_related("interval", "crontab").order_by("id")


def find(name_or_id: str | int) -> PeriodicTask:
    """Return the periodic task with this name or id; a name comes first. Raises PeriodicTaskNotFound."""
    named = all_tasks().filter(name=name_or_id).first() if isinstance(name_or_id, str) else None
    found = named or all_tasks().filter(pk=id_in(str(name_or_id)) or 0).first()
    if found is None:
        raise PeriodicTaskNotFound
    return found


def create(values: Mapping[str, Any]) -> PeriodicTask:
    """Create a periodic task from `values`: the columns of the task, and its `interval` or `crontab` as a mapping.

    Raises InvalidPeriodicTask.
    """
    with transaction.atomic():
        _lock()
        return _write(PeriodicTask(), values, before=None)


def change(task_id: int, values: Mapping[str, Any]) -> PeriodicTask:
    """Change a periodic task; what is not in `values` stays. An interval takes the place of a crontab, and vice versa.

    Raises PeriodicTaskNotFound and InvalidPeriodicTask.
    """
    with transaction.atomic():
        _lock()
        task = _locked(task_id)
        former = task.interval or task.crontab
        changed = _write(task, values, before=rules.described(task))
        _delete_if_unused(former)
    return changed


def schedule_kind(kind: str, values: Mapping[str, Any]) -> tuple[PeriodicTask, bool]:
    """Create or change the periodic task that enqueues jobs of this kind. Returns it, and whether it was created.

    With a `name` in `values`, it is the task of this name, else the first one by id that enqueues jobs of the kind.
    `values` are those of `create`; in place of `kwargs` they may have the `arguments` of the jobs. Raises UnknownKind,
    InvalidPeriodicTask.
    """
    kind = enqueueable(kind).name
    values = dict(values)
    arguments = values.pop("arguments", None)
    with transaction.atomic():
        _lock()
        found = _enqueuing(kind, values.get("name"))
        kept = rules.keyword_arguments_of(found).get("arguments") if found else None
        job = {"kind": kind, **({"arguments": given} if (given := kept if arguments is None else arguments) else {})}
        if found is not None:
            return change(found.pk, values | {"task": rules.ENQUEUE, "kwargs": job}), False
        return create({"name": f"enqueue {kind}", **values, "task": rules.ENQUEUE, "kwargs": job}), True


def _enqueuing(kind: str, name: str | None) -> PeriodicTask | None:
    if name is not None:
        return PeriodicTask.objects.filter(name=name).first()
    for task in all_tasks().filter(task__in=[rules.ENQUEUE, rules.CLEAN_UP]):
        is_clean_up = task.task == rules.CLEAN_UP and kind == cleanup.KIND
        if is_clean_up or (task.task == rules.ENQUEUE and rules.keyword_arguments_of(task).get("kind") == kind):
            return task
    return None


def run(task_id: int) -> PeriodicTask:
    """Run a periodic task now, as beat does when it is due, also while the task is disabled.

    The times of beat stay as they are. Raises PeriodicTaskNotFound, InvalidPeriodicTask if workers do not know the task
    (any more), and PeriodicTaskNotSent if the broker does not accept it.
    """
    with transaction.atomic():
        periodic = _locked(task_id)
        rules.record_run(periodic)
        if periodic.task not in rules.known_tasks():
            raise _unknown_task(periodic.task)
        task = current_app.tasks[periodic.task]
        args, kwargs = json.loads(periodic.args or "[]"), rules.keyword_arguments_of(periodic)
        if periodic.task in RUN_BY_BEAT or settings.JOBS_INLINE:
            task(*args, **kwargs)
            return periodic
        try:
            options = {"queue": periodic.queue} if periodic.queue else {}
            task.apply_async(args, kwargs, retry=False, **options)
        except OperationalError as error:
            raise PeriodicTaskNotSent from error
    return periodic


def delete(task_id: int) -> None:
    """Delete a periodic task. Raises PeriodicTaskNotFound."""
    with transaction.atomic():
        _lock()
        task = _locked(task_id)
        rules.record_deleted(task)
        task.delete()
        _delete_if_unused(task.interval or task.crontab)


def _lock() -> None:
    """Wait for other changes of periodic tasks, so that nobody begins to use a schedule that is being deleted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('flagsite.periodic_tasks'))")


def _locked(task_id: int) -> PeriodicTask:
    """Return the task, whose row beat cannot change until the end of the transaction."""
    task = PeriodicTask.objects.select_for_update().filter(pk=task_id).first()
    if task is None:
        raise PeriodicTaskNotFound
    return task


def _write(task: PeriodicTask, values: Mapping[str, Any], *, before: dict[str, Any] | None) -> PeriodicTask:
    for name in values.keys() - {"interval", "crontab"}:
        setattr(task, name, json.dumps(values[name]) if name == "kwargs" else values[name])
    interval, crontab = values.get("interval"), values.get("crontab")
    if interval and crontab:
        raise InvalidPeriodicTask(ONE_SCHEDULE)
    if interval:
        task.interval, task.crontab = _shared(IntervalSchedule, "interval", interval), None
    elif crontab:
        task.interval, task.crontab = None, _shared(CrontabSchedule, "crontab", crontab)
    if task.interval is None and task.crontab is None:
        raise InvalidPeriodicTask(ONE_SCHEDULE)
    if task.task not in rules.known_tasks():
        raise _unknown_task(task.task)
    _check(task)
    task.save()
    rules.record_saved(task, before)
    return task


def _shared(model: type[Any], field: str, values: Mapping[str, Any]) -> Any:
    """Return the interval or crontab with these values; create it if there is none."""
    try:
        schedule = model(**values)
    except ValidationError as error:  # a time zone that does not exist, the one value that the library parses here
        raise InvalidPeriodicTask(f"{field}.timeZone: {' '.join(error.messages)}") from error
    _check(schedule, f"{field}.")
    columns = {name: getattr(schedule, name) for name in rules.RECORDED[model]}
    found = model.objects.filter(**columns).first()
    if found is not None:
        return found
    schedule.save()
    rules.record_saved(schedule, None)
    return schedule


def _check(row: Any, prefix: str = "") -> None:
    """Check a row as the forms of the admin site do. Raises InvalidPeriodicTask, which names the fields."""
    try:
        if isinstance(row, CrontabSchedule):
            crontabs.check_crontab_fields(row)  # first, because its messages say what is understood
        row.full_clean()
        if isinstance(row, CrontabSchedule):
            crontabs.check_crontab(row)
        elif isinstance(row, IntervalSchedule):
            rules.check_interval(row)
        else:
            rules.check_keyword_arguments(row)
    except ValidationError as error:
        problems = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        raise InvalidPeriodicTask(" ".join(_said(prefix, name, texts) for name, texts in problems.items())) from error


def _said(prefix: str, name: str, texts: list[str]) -> str:
    field = prefix.rstrip(".") if name == NON_FIELD_ERRORS else f"{prefix}{WIRE_NAMES.get(name, name)}"
    return f"{field}: {' '.join(texts)}" if field else " ".join(texts)


def _delete_if_unused(schedule: Any) -> None:
    if schedule is not None and not schedule.periodictask_set.exists():
        rules.record_deleted(schedule)
        schedule.delete()


def _unknown_task(name: str) -> InvalidPeriodicTask:
    return InvalidPeriodicTask(f"task: Workers know no task {name!r}. They know {', '.join(rules.known_tasks())}.")
