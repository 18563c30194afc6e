"""The weekly maintenance of the database, on Sunday at three in the morning, UTC."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import migrations
from django.utils import timezone


def create_task(apps: Any, schema_editor: Any) -> None:
    """Create the periodic task, and tell beat of it."""
    crontab, task, changes = (
        apps.get_model("django_celery_beat", name) for name in ("CrontabSchedule", "PeriodicTask", "PeriodicTasks")
    )
    sunday, _ = crontab.objects.get_or_create(minute="0", hour="3", day_of_week="0", timezone="UTC")
    defaults = {
        "task": "jobs.enqueue",
        "crontab": sunday,
        "kwargs": json.dumps({"kind": "maintenance"}),
        "description": "Vacuums all tables and rebuilds the indexes of large ones.",
    }
    task.objects.get_or_create(name="maintain the database", defaults=defaults)
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("jobs", "0023_indexes_of_batches"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [migrations.RunPython(create_task, migrations.RunPython.noop)]
