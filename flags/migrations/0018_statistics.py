"""The table of statistics, and their computation each night."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import migrations, models
from django.utils import timezone


def create_task(apps: Any, schema_editor: Any) -> None:
    """Let beat start the computation each night at one o'clock, UTC."""
    crontab, task, changes = (
        apps.get_model("django_celery_beat", name) for name in ("CrontabSchedule", "PeriodicTask", "PeriodicTasks")
    )
    night, _ = crontab.objects.get_or_create(minute="0", hour="1", timezone="UTC")
    defaults = {
        "task": "jobs.enqueue",
        "crontab": night,
        "kwargs": json.dumps({"kind": "statistics"}),
        "description": "Computes all statistics.",
    }
    task.objects.get_or_create(name="compute the statistics", defaults=defaults)
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("flags", "0017_reports"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Statistic",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("points", models.JSONField(default=list)),
                ("computed_at", models.DateTimeField()),
                ("seconds", models.FloatField(help_text="How long the computation took.")),
                ("job_id", models.BigIntegerField(help_text="The job that computed the figures.", null=True)),
            ],
        ),
        migrations.RunPython(create_task, migrations.RunPython.noop),
    ]
