"""Models get the words of the glossary. Only the state changes: tables and constraints keep their names.

Each table's name is stated before its model is renamed, so that the renaming has nothing to do in the database.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models

RENAMED = {
    "JobTally": "HourlyMetrics",
    "Canary": "Probe",
    "EngineCount": "EngineCounter",
    "DeedTarget": "BulkTarget",
}


def keep_table_and_rename(old: str, new: str) -> list[Any]:
    """The two steps that give a model its new name and change nothing in the database."""
    return [
        migrations.AlterModelTable(name=old.lower(), table=f"jobs_{old.lower()}"),
        migrations.RenameModel(old_name=old, new_name=new),
    ]


def words(name: str) -> str:
    """The name of a model as Django's permissions have it: "job tally" for JobTally."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def rename_permissions(apps: Any, names: dict[str, str]) -> None:
    """Give the permissions of each model its new name, so that what a group was given stays given."""
    for permission in apps.get_model("auth", "Permission").objects.filter(content_type__app_label="jobs"):
        for old, new in names.items():
            if permission.codename.endswith(f"_{old.lower()}"):
                permission.codename = permission.codename.replace(old.lower(), new.lower())
                permission.name = permission.name.replace(words(old), words(new))
                permission.save(update_fields=["codename", "name"])


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("jobs", "0012_jobs_by_their_end"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations: ClassVar = [step for old, new in RENAMED.items() for step in keep_table_and_rename(old, new)] + [
        migrations.AlterModelOptions(name="hourlymetrics", options={"verbose_name_plural": "hourly metrics"}),
        migrations.AlterField(
            model_name="probe",
            name="job_id",
            field=models.BigIntegerField(help_text="The latest probe job.", null=True),
        ),
        migrations.AlterField(
            model_name="probe",
            name="returned_at",
            field=models.DateTimeField(help_text="When a probe job was done last.", null=True),
        ),
        migrations.AlterField(
            model_name="bulktarget",
            name="target_id",
            field=models.BigIntegerField(help_text="The job to operate on; it may be deleted by now."),
        ),
        migrations.AlterField(
            model_name="bulktarget",
            name="outcome",
            field=models.CharField(
                default="", help_text="Empty: still to do; done; or the reason why not.", max_length=200
            ),
        ),
        migrations.RunPython(
            lambda apps, _: rename_permissions(apps, RENAMED),
            lambda apps, _: rename_permissions(apps, {new: old for old, new in RENAMED.items()}),
            elidable=True,
        ),
    ]
