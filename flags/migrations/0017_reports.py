"""The reports, and the three that beat asks for on the first day of each month at four in the morning, UTC."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import migrations
from django.utils import timezone


def create_tasks(apps: Any, schema_editor: Any) -> None:
    """Create the periodic tasks, and tell beat of them."""
    crontab, task, changes = (
        apps.get_model("django_celery_beat", name) for name in ("CrontabSchedule", "PeriodicTask", "PeriodicTasks")
    )
    monthly, _ = crontab.objects.get_or_create(minute="0", hour="4", day_of_month="1", timezone="UTC")
    for report in ("usage", "audit", "performance"):
        arguments = {"report": report, "period": "last-month", "format": "pdf"}
        defaults = {
            "task": "jobs.enqueue",
            "crontab": monthly,
            "kwargs": json.dumps({"kind": "report", "arguments": arguments}),
            "description": f"Makes the {report} report of the last month for all organizations.",
        }
        task.objects.get_or_create(name=f"report on {report}", defaults=defaults)
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("flags", "0016_partial_changes"),
        ("jobs", "0030_readers_of_artifacts"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Report",
            fields=[],
            options={
                "verbose_name": "report",
                "verbose_name_plural": "reports",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("jobs.job",),
        ),
        migrations.RunPython(create_tasks, migrations.RunPython.noop),
    ]
