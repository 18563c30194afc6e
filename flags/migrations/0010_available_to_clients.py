"""Definitions say whether access keys with the role client can evaluate the flag."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0009_tell_of_emptied_states")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="flag",
            name="available_to_clients",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Access keys with the role client can evaluate it. Tick it only if users may know the flag.",
            ),
        ),
    ]
