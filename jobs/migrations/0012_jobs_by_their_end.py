"""The list of jobs is asked for those that ended in an hour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_reopened_chains_and_reasons")]

    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["completed_at"], name="job_by_end"),
        ),
    ]
