"""Indexes for the jobs of batches. PostgreSQL builds them while others write, because the table may be large."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0022_batches")]

    operations = [
        AddIndexConcurrently(
            model_name="job",
            index=models.Index(
                condition=models.Q(("batch__isnull", False), ("status__in", ["IN_PROGRESS", "PENDING"])),
                fields=["batch"],
                name="open_job_of_batch",
            ),
        ),
        AddIndexConcurrently(
            model_name="job",
            index=models.Index(
                condition=models.Q(("batch__isnull", False), ("parent_job", None)),
                fields=["batch", "id"],
                name="first_job_of_batch",
            ),
        ),
    ]
