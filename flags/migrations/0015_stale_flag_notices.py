"""Which stale flags were told, and the periodic task that tells the others."""

from __future__ import annotations

from typing import Any, ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models
from django.utils import timezone


def create_task(apps: Any, schema_editor: Any) -> None:
    """Create the periodic task, and tell beat of it."""
    interval, task, changes = (
        apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask", "PeriodicTasks")
    )
    hour, _ = interval.objects.get_or_create(every=1, period="hours")
    defaults = {
        "task": "flags.tell_stale",
        "interval": hour,
        "description": "Tells which flags have become stale.",
    }
    task.objects.get_or_create(name="tell stale flags", defaults=defaults)
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("flags", "0014_usage_of_days"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="StaleFlagNotice",
            fields=[
                ("flag_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("noticed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunPython(create_task, migrations.RunPython.noop),
    ]
