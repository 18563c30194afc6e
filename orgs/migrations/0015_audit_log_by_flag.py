"""An index that finds the audit entries about the scheduled changes of a flag, whose subject is not the flag itself."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("orgs", "0014_key_rotation")]
    operations: ClassVar = [
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                KeyTextTransform("flag", "details"),
                models.F("id"),
                condition=models.Q(("details__has_key", "flag")),
                name="audit_by_flag",
            ),
        ),
    ]
