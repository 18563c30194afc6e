"""What is known of a flag's life: who asks for it, where it is on; and what beat does for that."""

from __future__ import annotations

from typing import Any, ClassVar

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone


def schedule(apps: Any, schema_editor: Any) -> None:
    """Uses are moved each minute; adoption, which takes a look at all flag states, is counted each hour."""
    interval, task = (apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask"))
    minute, _ = interval.objects.get_or_create(every=60, period="seconds")
    hour, _ = interval.objects.get_or_create(every=1, period="hours")
    for name, details in {
        "move uses of flags": {"task": "flags.move_uses", "interval": minute, "expire_seconds": 50,
                               "description": "Moves which flags were evaluated from memory to the database."},
        "count adoption of flags": {"task": "flags.count_adoption", "interval": hour,
                                    "description": "Counts on how many organizations each flag is on."},
    }.items():  # fmt: skip
        task.objects.get_or_create(name=name, defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("flags", "0005_tell_of_definitions"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="FlagAdoption",
            fields=[
                (
                    "flag",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="adoption",
                        serialize=False,
                        to="flags.flag",
                    ),
                ),
                ("organizations_on", models.BigIntegerField()),
                ("organizations_off", models.BigIntegerField()),
                ("unset", models.BigIntegerField()),
                ("on_sources", models.BigIntegerField()),
                ("off_sources", models.BigIntegerField()),
                (
                    "on_biggest",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "off_biggest",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("same_value", models.BooleanField(null=True)),
                ("same_since", models.DateTimeField(null=True)),
                ("counted_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="FlagUse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "flag_id", "organization_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("flag_id", models.BigIntegerField()),
                ("organization_id", models.BigIntegerField()),
                ("evaluations", models.BigIntegerField()),
                ("last_evaluated_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="FlagUseTotal",
            fields=[
                ("flag_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("evaluations", models.BigIntegerField()),
                ("first_evaluated_at", models.DateTimeField()),
                ("last_evaluated_at", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(schedule, migrations.RunPython.noop),
    ]
