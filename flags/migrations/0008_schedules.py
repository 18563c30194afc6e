"""Scheduled changes, and the tick that applies them."""

from __future__ import annotations

from typing import Any, ClassVar

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.utils import timezone


def schedule_tick(apps: Any, schema_editor: Any) -> None:
    """Each five seconds."""
    interval, task = (apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask"))
    seconds, _ = interval.objects.get_or_create(every=5, period="seconds")
    details = {
        "task": "flags.apply_schedules",
        "interval": seconds,
        "expire_seconds": 10,
        "description": "Applies the scheduled changes of flags that are due.",
    }
    task.objects.get_or_create(name="apply schedules", defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("flags", "0007_purging"),
        ("jobs", "0009_organization_by_status"),
        ("orgs", "0006_tell_of_changes"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="FlagSchedule",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("flag_key", models.CharField(max_length=255)),
                (
                    "wanted",
                    models.JSONField(
                        help_text='What to apply: {"enabled": true}; for a definition some of its fields.'
                    ),
                ),
                ("scheduled_at", models.DateTimeField(db_index=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending: waits for its time"),
                            ("applied", "Applied"),
                            ("failed", "Failed: for good, or until its retry"),
                            ("cancelled", "Cancelled"),
                        ],
                        db_default="pending",
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0, help_text="How often it was tried.")),
                (
                    "retry_count",
                    models.PositiveSmallIntegerField(default=0, help_text="Automatic retries that were made."),
                ),
                ("max_retries", models.PositiveSmallIntegerField(default=3)),
                ("next_retry_at", models.DateTimeField(db_index=True, null=True)),
                ("last_error", models.TextField(blank=True, default="")),
                ("applied_at", models.DateTimeField(null=True)),
                ("first_try", models.BooleanField(help_text="Whether it was applied at the first try.", null=True)),
                ("change_number", models.BigIntegerField(help_text="Of the change that it led to.", null=True)),
                (
                    "cron",
                    models.CharField(
                        blank=True, default="", help_text="When it recurs; empty: it does not.", max_length=100
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(blank=True, default="", help_text="Of the cron expression.", max_length=64),
                ),
                ("created_by", models.CharField(max_length=200)),
                (
                    "author_gone",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="What had become of its author when it was applied.",
                        max_length=200,
                    ),
                ),
                ("reason", models.TextField(blank=True, default="")),
                ("correlation_id", models.CharField(blank=True, default="", max_length=128)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "flag",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="schedules",
                        to="flags.flag",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="The job that it led to.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="jobs.job",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="Where the flag is set; empty: the flag's own definition is changed.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="orgs.organization",
                    ),
                ),
                (
                    "paired_with",
                    models.OneToOneField(
                        help_text="The other half of on and off.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="flags.flagschedule",
                    ),
                ),
                (
                    "series",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="occurrences",
                        to="flags.flagschedule",
                    ),
                ),
            ],
            options={
                "verbose_name": "scheduled change",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "pending")), fields=["scheduled_at", "id"], name="schedule_due"
                    ),
                    models.Index(
                        condition=models.Q(("status__in", ["pending", "failed"])),
                        fields=["flag", "scheduled_at", "id"],
                        name="schedule_in_line_for_flag",
                    ),
                    models.Index(fields=["organization", "-id"], name="schedule_of_organization"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("max_retries__lte", 10)), name="schedule_retries_are_0_to_10"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status", "failed"), ("next_retry_at__isnull", True), _connector="OR"),
                        name="schedule_retry_follows_failure",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cron", ""), ("series__isnull", True)),
                            models.Q(("cron", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="schedule_series_recurs",
                    ),
                    models.UniqueConstraint(fields=("series", "scheduled_at"), name="schedule_once_each_time"),
                ],
            },
        ),
        migrations.RunPython(schedule_tick, migrations.RunPython.noop),
    ]
