"""The table of drifted flag states, and the hourly task that looks for them."""

from typing import Any, ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models
from django.utils import timezone


def schedule_task(apps: Any, schedule_editor: Any) -> None:
    """Each hour."""
    interval, task = (apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask"))
    hour, _ = interval.objects.get_or_create(every=1, period="hours")
    details = {
        "task": "flags.check_drift",
        "interval": hour,
        "expire_seconds": 3000,
        "description": "Compares some flag states with the settings.",
    }
    task.objects.get_or_create(name="look for drift", defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("flags", "0027_plans_of_replaced_settings"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="DriftedState",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id", "flag_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("organization_id", models.BigIntegerField()),
                ("flag_id", models.BigIntegerField()),
                ("difference", models.CharField(help_text="`wrong`, `missing` or `extra`.", max_length=16)),
                ("found_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunPython(schedule_task, migrations.RunPython.noop),
    ]
