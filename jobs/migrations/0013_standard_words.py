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


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0012_jobs_by_their_end")]
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
    ]
