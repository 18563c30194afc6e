"""What beat asks for, and when; from then on it is changed in the admin site."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations


def create_schedule(apps: Any, schema_editor: Any) -> None:
    """The sweep every JOB_SWEEP_SECONDS, the clean-up at midnight UTC."""
    interval, crontab, task = (
        apps.get_model("django_celery_beat", name) for name in ("IntervalSchedule", "CrontabSchedule", "PeriodicTask")
    )
    seconds, _ = interval.objects.get_or_create(every=max(1, round(settings.JOB_SWEEP_SECONDS)), period="seconds")
    hour, _ = interval.objects.get_or_create(every=1, period="hours")
    midnight, _ = crontab.objects.get_or_create(minute="0", hour="0", timezone="UTC")
    for name, details in {
        "sweep": {"task": "jobs.sweep", "interval": seconds, "expire_seconds": 10,
                  "description": "Rescues jobs of dead workers, repeats lost wake-ups."},
        "clean up old jobs": {"task": "jobs.clean_up", "crontab": midnight,
                              "description": "Deletes jobs that ended long ago."},
        "forget idempotent requests": {"task": "orgs.forget_idempotent_requests", "interval": hour,
                                       "description": "Deletes stored answers that are older than IDEMPOTENCY_HOURS."},
    }.items():  # fmt: skip
        task.objects.get_or_create(name=name, defaults=details)
    changes = apps.get_model("django_celery_beat", "PeriodicTasks")
    changes.objects.update_or_create(ident=1, defaults={"last_update": _now()})


def _now() -> Any:
    from django.utils import timezone  # noqa: PLC0415

    return timezone.now()


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("jobs", "0003_queue_pauses_workers_tallies"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations: ClassVar = [migrations.RunPython(create_schedule, migrations.RunPython.noop)]
