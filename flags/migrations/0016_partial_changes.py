"""Whether a change without a job has reached its whole subtree; of older changes nobody knows."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

HELP = (
    "For a change without a job: whether some organizations may lack it, because its propagation was "
    "cancelled or failed before the job was deleted. Null if nobody knows."
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0015_stale_flag_notices")]
    operations: ClassVar = [
        migrations.AddField("change", "is_partial", models.BooleanField(null=True, help_text=HELP)),
        migrations.AlterField(
            "change", "is_partial", models.BooleanField(null=True, default=False, db_default=False, help_text=HELP)
        ),
    ]
