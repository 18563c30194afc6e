"""The history is called the audit log. Only the state changes: table, indexes and triggers keep their names.

The table's name is stated before the model is renamed, so that the renaming has nothing to do in the database. Django
renames the content type along with the model, but not its permissions: what a group was given stays given.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models


def rename_permissions(apps: Any, old: str, new: str) -> None:
    """Give the permissions of a model its new name, in the content type that has it already."""
    for permission in apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="orgs", content_type__model__in=["historyentry", "auditentry"]
    ):
        permission.codename = permission.codename.replace(old.replace(" ", ""), new.replace(" ", ""))
        permission.name = permission.name.replace(old, new)
        permission.save(update_fields=["codename", "name"])


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("orgs", "0010_no_circles_of_parents"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations: ClassVar = [
        migrations.AlterModelTable(name="historyentry", table="orgs_historyentry"),
        migrations.RenameModel(old_name="HistoryEntry", new_name="AuditEntry"),
        migrations.AlterModelOptions(
            name="auditentry",
            options={"verbose_name": "audit entry", "verbose_name_plural": "audit log"},
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="via",
            field=models.CharField("channel", help_text="api, admin, command, worker or schedule.", max_length=16),
        ),
        migrations.RunPython(
            lambda apps, _: rename_permissions(apps, "history entry", "audit entry"),
            lambda apps, _: rename_permissions(apps, "audit entry", "history entry"),
            elidable=True,
        ),
    ]
