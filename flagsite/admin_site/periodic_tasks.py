"""The admin site's pages of periodic tasks, which beat sends. The audit log records the values before and after."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.widgets import UnfoldAdminSelectWidget

from flagsite import crontabs
from flagsite.core import actor
from flagsite.core.admin.json_text import TypedJson
from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.words import counted
from flagsite.periodic_tasks import operations, rules
from jobs.templatetags.job_formats import since
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, may

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


def task_choices() -> list[tuple[str, str]]:
    """The tasks of Flagsite's workers, as choices of a form field."""
    return [(name, name) for name in rules.known_tasks()]


def in_words(crontab: CrontabSchedule) -> str:
    """The five fields of a crontab line, the time zone, and their meaning in words."""
    fields = (crontab.minute, crontab.hour, crontab.day_of_month, crontab.month_of_year, crontab.day_of_week)
    return f"{' '.join(fields)} {crontab.timezone}: {crontab.human_readable.removesuffix(f' {crontab.timezone}')}"


class PeriodicTaskForm(forms.ModelForm):
    """The form for a periodic task, which has exactly one schedule: an interval or a crontab."""

    task = forms.ChoiceField(choices=task_choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = PeriodicTask
        fields = [
            "name",
            "task",
            "kwargs",
            "description",
            "enabled",
            "interval",
            "crontab",
            "start_time",
            "expire_seconds",
        ]
        labels: ClassVar = {
            "kwargs": "Keyword arguments", "interval": "Interval", "crontab": "Crontab", "start_time": "Start time",
            "expire_seconds": "Leave out a run that has waited for longer than (seconds)",
            "last_run_at": "Last run", "total_run_count": "Runs",
        }  # fmt: skip
        help_texts: ClassVar = {
            "kwargs": 'As JSON, such as {"kind": "cleanup"} for jobs.enqueue: the kind and its arguments.',
            "enabled": "Beat sends the task only while this box is ticked.",
            "interval": "The time between two runs. Leave it empty if you choose a crontab.",
            "crontab": "The times of the runs. Leave it empty if you choose an interval.",
            "start_time": "In UTC. Beat sends the task from then on. Empty: at once.",
            "expire_seconds": "Empty: workers also do runs that have waited for long.",
            "last_run_at": "",
            "total_run_count": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        crontab: Any = self.fields.get("crontab")  # None on the read-only page
        if crontab is not None:
            crontab.label_from_instance = in_words

    def clean_kwargs(self) -> str:
        """Refuse JSON that Python cannot read, also for reasons that the library does not expect."""
        value = self.cleaned_data["kwargs"] or "{}"
        try:
            json.loads(value, cls=TypedJson)
        except ValueError as error:
            raise forms.ValidationError(f"This is not valid JSON: {error}.") from error
        return str(value)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            rules.check_keyword_arguments(PeriodicTask(task=values["task"], kwargs=values.get("kwargs") or "{}"))
        return values

    def validate_unique(self) -> None:
        """Check the schedule. The message of the model would offer kinds of schedules that are not in the form."""
        if bool(self.instance.interval) == bool(self.instance.crontab):
            self.add_error("interval", "Choose either an interval or a crontab.")
        else:
            super().validate_unique()


class CrontabForm(forms.ModelForm):
    """The form for a crontab. It refuses what Celery would understand only in part, such as `mon#1`."""

    class Meta:
        model = CrontabSchedule
        fields = "__all__"  # noqa: DJ007 - the crontab's five fields and its time zone
        labels: ClassVar = {
            "minute": "Minute", "hour": "Hour", "day_of_month": "Day of month", "month_of_year": "Month",
            "day_of_week": "Day of week", "timezone": "Time zone",
        }  # fmt: skip
        help_texts: ClassVar = {"timezone": "The zone of the times, such as Europe/Oslo."}

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            crontabs.check_crontab(CrontabSchedule(**{name: values[name] for name in rules.RECORDED[CrontabSchedule]}))
        return values


class IntervalForm(forms.ModelForm):
    """The form for an interval."""

    class Meta:
        model = IntervalSchedule
        fields = ("every", "period")
        labels: ClassVar = {"every": "Every", "period": "Period"}

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            rules.check_interval(IntervalSchedule(every=values["every"], period=values["period"]))
        return values


class ScheduleAdmin(OperatorAdmin):
    """Pages that record in the audit log what people add, change and delete."""

    add_role = change_role = delete_role = Role.ADMIN
    beat_columns: ClassVar[tuple[str, ...]] = ()
    """The columns that beat writes, also while a person fills in the form. Saving the form does not change them."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        rows = self.get_queryset(request).select_for_update(of=("self",)).filter(pk=obj.pk)
        saved = rows.first() if change else None
        before = rules.described(saved) if saved else None
        for column in self.beat_columns if saved else ():
            setattr(obj, column, getattr(saved, column))
        super().save_model(request, obj, form, change)
        rules.record_saved(obj, before)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        rules.record_deleted(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for schedule in queryset:
            self.delete_model(request, schedule)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing, because `save_model` writes the audit entry."""

    log_change = log_addition

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Do nothing, because `delete_model` writes the audit entry."""


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ScheduleAdmin):
    """The pages of periodic tasks."""

    form = PeriodicTaskForm
    beat_columns = ("last_run_at", "total_run_count")
    list_display = ["name", "task", "enabled", "when", "last_run", "total_run_count"]
    list_select_related = ["interval", "crontab"]
    search_fields = ["name", "task"]
    ordering = ["name"]
    actions = ["run"]
    fieldsets = [
        (None, {"fields": ["name", "task", "kwargs", "description", "enabled"]}),
        ("Schedule: either an interval or a crontab", {"fields": ["interval", "crontab", "start_time"]}),
        ("Limits", {"fields": ["expire_seconds"]}),
        ("Runs so far", {"fields": ["last_run_at", "total_run_count"]}),
    ]
    readonly_fields = ["last_run_at", "total_run_count"]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may(request, Role.OPERATOR)

    @admin.action(description="Run selected tasks", permissions=["run"])
    def run(self, request: HttpRequest, tasks: QuerySet[PeriodicTask]) -> HttpResponse | None:
        """Ask for the reason, then run each task now and show the results."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            request.current_app = self.admin_site.name
            context = {
                **self.admin_site.each_context(request), "opts": self.opts, "form": form, "tasks": list(tasks),
                "title": f"Run now: {counted(tasks.count(), 'periodic task')}", "back": request.get_full_path(),
            }  # fmt: skip
            return TemplateResponse(request, "admin/django_celery_beat/run_tasks.html", context)
        actor.give_reason(form.cleaned_data["reason"])
        for task in tasks:
            try:
                operations.run(task.pk)
            except FlagsiteError as error:
                self.message_user(request, f"{task.name}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{task.name} runs now.")
        return None

    @admin.display(description="when")
    def when(self, task: PeriodicTask) -> str:
        return in_words(task.crontab) if task.crontab else str(task.interval or "–")

    @admin.display(description="last run")
    def last_run(self, task: PeriodicTask) -> str:
        if task.last_run_at is None:
            return "never"
        return f"{since(task.last_run_at)} ago"


class SharedScheduleAdmin(ScheduleAdmin):
    """Pages of schedules that tasks share. A used schedule cannot be deleted: Django would delete its tasks with it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, list[str]]:
        to_delete, counts, needed, protected = super().get_deleted_objects(objs, request)
        tasks = [task for schedule in objs for task in schedule.periodictask_set.order_by("name")]
        return to_delete, counts, needed, [*protected, *(f"Periodic task: {task.name}" for task in tasks)]


@admin.register(IntervalSchedule)
class IntervalAdmin(SharedScheduleAdmin):
    """The pages of intervals, such as every 5 minutes. Several tasks can share an interval."""

    form = IntervalForm
    list_display = ["__str__", "every", "period"]


@admin.register(CrontabSchedule)
class CrontabAdmin(SharedScheduleAdmin):
    """The pages of crontabs: times of the day, week or month in a time zone. Several tasks can share a crontab."""

    form = CrontabForm
    list_display = ["human_readable", "minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"]
