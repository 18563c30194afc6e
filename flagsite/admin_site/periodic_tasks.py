"""What beat asks for and when, in our theme; the audit log has each change with the values before and after."""

from __future__ import annotations

from typing import Any, ClassVar

from celery import current_app
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.widgets import UnfoldAdminSelectWidget

from jobs.templatetags.job_figures import since
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin
from orgs.audit import audit_log

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


def known_tasks() -> list[tuple[str, str]]:
    """The tasks that our workers know, to choose from."""
    current_app.loader.import_default_modules()
    return [(name, name) for name in sorted(current_app.tasks) if not name.startswith("celery.")]


def in_words(crontab: CrontabSchedule) -> str:
    """Five fields as crontab has them, the time zone, and what they mean."""
    fields = (crontab.minute, crontab.hour, crontab.day_of_month, crontab.month_of_year, crontab.day_of_week)
    return f"{' '.join(fields)} {crontab.timezone}: {crontab.human_readable.removesuffix(f' {crontab.timezone}')}"


class PeriodicTaskForm(forms.ModelForm):
    """One schedule for one of our tasks; whether the two fit is for the model to say."""

    task = forms.ChoiceField(choices=known_tasks, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = PeriodicTask
        fields = ["name", "task", "description", "enabled", "interval", "crontab", "start_time", "expire_seconds"]
        help_texts: ClassVar = {"enabled": "While it is not ticked, beat leaves the task out."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        crontab: Any = self.fields.get("crontab")  # none for whoever may only look
        if crontab is not None:
            crontab.label_from_instance = in_words


class ScheduleAdmin(OperatorAdmin):
    """Records what is added, changed and deleted; `recorded` are the columns that it tells of."""

    add_role = change_role = delete_role = Role.ADMIN
    recorded: ClassVar[tuple[str, ...]]
    beats: ClassVar[tuple[str, ...]] = ()
    """Columns that beat writes, also while a person fills in the form: they stay as they are in the row."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        rows = self.get_queryset(request).select_for_update(of=("self",)).filter(pk=obj.pk)
        found = rows.first() if change else None
        before = self.described(found) if found else None
        for column in self.beats if found else ():
            setattr(obj, column, getattr(found, column))
        super().save_model(request, obj, form, change)
        after = self.described(obj)
        if before is None:
            audit_log.record("schedule.create", self.subject(obj), after=after)
        elif before != after:
            audit_log.record("schedule.change", self.subject(obj), before=before, after=after)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit_log.record("schedule.delete", self.subject(obj), before=self.described(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for schedule in queryset:
            self.delete_model(request, schedule)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit log has it already."""

    log_change = log_addition

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The audit log has it already."""

    def described(self, schedule: Any) -> dict[str, Any]:
        """The columns that the audit log tells of, as JSON holds them."""
        values = {field: getattr(schedule, field) for field in self.recorded}
        return {field: value if isinstance(value, (bool, int)) else _text(value) for field, value in values.items()}

    def subject(self, schedule: Any) -> str:
        """What the audit log calls it."""
        return f"schedule:{schedule}"


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ScheduleAdmin):
    """What runs when, and when it last did."""

    form = PeriodicTaskForm
    beats = ("last_run_at", "total_run_count")
    recorded = ("name", "task", "enabled", "interval", "crontab", "start_time", "expire_seconds")
    list_display = ["name", "task", "enabled", "when", "last_run", "total_run_count"]
    list_select_related = ["interval", "crontab"]
    search_fields = ["name", "task"]
    ordering = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "task", "description", "enabled"]}),
        ("When: an interval or a crontab, one of them", {"fields": ["interval", "crontab", "start_time"]}),
        ("Limits", {"fields": ["expire_seconds"]}),
        ("So far", {"fields": ["last_run_at", "total_run_count"]}),
    ]
    readonly_fields = ["last_run_at", "total_run_count"]

    def subject(self, schedule: Any) -> str:
        return f"schedule:{schedule.name}"

    @admin.display(description="when")
    def when(self, task: PeriodicTask) -> str:
        return in_words(task.crontab) if task.crontab else str(task.interval or "–")

    @admin.display(description="last run")
    def last_run(self, task: PeriodicTask) -> str:
        if task.last_run_at is None:
            return "never"
        return f"{since(task.last_run_at)} ago"


class SharedScheduleAdmin(ScheduleAdmin):
    """What several tasks may go by: it stays as long as one does, as Django would delete the tasks along with it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, list[str]]:
        to_delete, counts, needed, protected = super().get_deleted_objects(objs, request)
        users = [f"Periodic task: {task.name}" for one in objs for task in one.periodictask_set.order_by("name")]
        return to_delete, counts, needed, [*protected, *users]


@admin.register(IntervalSchedule)
class IntervalAdmin(SharedScheduleAdmin):
    """Every so often; shared by the tasks that name it."""

    recorded = ("every", "period")
    list_display = ["__str__", "every", "period"]


@admin.register(CrontabSchedule)
class CrontabAdmin(SharedScheduleAdmin):
    """At times of the day, week or month, in a time zone; shared by the tasks that name it."""

    recorded = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone")
    list_display = ["human_readable", "minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
