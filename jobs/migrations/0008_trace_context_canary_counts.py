"""A job remembers the trace that it belongs to; the canary and its schedule; counts of the engine itself."""

from __future__ import annotations

from typing import Any, ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models
from django.utils import timezone


def schedule_canary(apps: Any, schema_editor: Any) -> None:
    """Each minute."""
    interval, task = (apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask"))
    minute, _ = interval.objects.get_or_create(every=60, period="seconds")
    details = {
        "task": "jobs.send_canary",
        "interval": minute,
        "description": "Sends a job that does nothing through the default queue; /readyz says when one came through.",
    }
    task.objects.get_or_create(name="canary", defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("jobs", "0007_indexes_for_operators"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [
        migrations.AddField(
            model_name="job",
            name="trace_context",
            field=models.CharField(default="", help_text="The request's W3C traceparent, if traced.", max_length=64),
        ),
        migrations.CreateModel(
            name="Canary",
            fields=[
                ("queue", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("job_id", models.BigIntegerField(help_text="The latest canary's job.", null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                ("returned_at", models.DateTimeField(help_text="When one came through last.", null=True)),
            ],
        ),
        migrations.CreateModel(
            name="EngineCount",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("value", models.BigIntegerField(default=0)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("claims__gt", 0), ("status", "PENDING")), fields=["queue"], name="job_handed_back"
            ),
        ),
        migrations.RunPython(schedule_canary, migrations.RunPython.noop),
    ]
