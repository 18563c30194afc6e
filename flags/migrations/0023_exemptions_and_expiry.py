"""The index of exemptions, and the tick that ends settings and exemptions whose time has come."""

from typing import Any

from django.db import migrations, models
from django.utils import timezone


def schedule_tick(apps: Any, schema_editor: Any) -> None:
    """Each ten seconds."""
    interval, task = (apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "PeriodicTask"))
    seconds, _ = interval.objects.get_or_create(every=10, period="seconds")
    details = {
        "task": "flags.end_expired_settings",
        "interval": seconds,
        "expire_seconds": 20,
        "description": "Ends the settings and exemptions of flags whose time has come.",
    }
    task.objects.get_or_create(name="end expired settings", defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("flags", "0022_locks_and_kept_settings"),
        ("orgs", "0022_cheap_check_of_tree_locks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.CharField(
                db_default="set", default="set", help_text="That of the setting, `exempt` or `move`.", max_length=6
            ),
        ),
        migrations.AddIndex(
            model_name="flagsetting",
            index=models.Index(
                condition=models.Q(("exempt_from__isnull", False)),
                fields=["flag", "exempt_from"],
                name="exemption_from_lock",
            ),
        ),
        migrations.RunPython(schedule_tick, migrations.RunPython.noop),
    ]
