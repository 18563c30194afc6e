"""The sequence that orders all changes, and room on each page of flag states for heap-only updates."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0001_initial")]
    operations: ClassVar = [
        migrations.RunSQL("CREATE SEQUENCE flags_change_number", "DROP SEQUENCE flags_change_number"),
        migrations.RunSQL(
            "ALTER TABLE flags_flagstate SET (fillfactor = 50)", "ALTER TABLE flags_flagstate RESET (fillfactor)"
        ),
    ]
