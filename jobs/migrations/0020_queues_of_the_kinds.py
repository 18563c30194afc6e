"""A queue for each group of kinds, with the concurrency and the retries that suit the environment; small results."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations

RESULT_IS_SMALL = """
ALTER TABLE jobs_job ADD CONSTRAINT result_is_small CHECK (octet_length(result::text) <= 65536) NOT VALID
"""
QUEUES = {  # concurrency and retries, in development and in production
    "cleanup": ((1, 2), (2, 4)),
    "maintenance": ((1, 1), (2, 4)),
    "notification": ((5, 10), (4, 6)),
    "report": ((2, 3), (2, 4)),
}


def create_queues(apps: Any, schema_editor: Any) -> None:
    """Create the queues that do not exist, and move the clean-up to its queue."""
    queue = apps.get_model("jobs", "Queue")
    rows = [
        queue(name=name, concurrency=concurrency[settings.PRODUCTION], max_retries=retries[settings.PRODUCTION])
        for name, (concurrency, retries) in QUEUES.items()
    ]
    queue.objects.bulk_create(rows, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0019_more_queues_and_limits")]
    operations: ClassVar = [
        migrations.RunSQL(RESULT_IS_SMALL, "ALTER TABLE jobs_job DROP CONSTRAINT result_is_small"),
        migrations.RunPython(create_queues, migrations.RunPython.noop),
    ]
