"""Indexes and constraints for how attempts ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0016_how_attempts_ended"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["ended_as", "-id"], name="attempt_by_end"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("parent_job", None)), fields=["status", "-id"], name="first_job_by_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="hourlymetrics",
            constraint=models.UniqueConstraint(
                fields=("hour", "queue", "kind", "outcome", "trigger", "retry", "shard"), name="one_tally_each_hour"
            ),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_as", ""), ("status__in", ["IN_PROGRESS", "PENDING"])),
                    models.Q(
                        models.Q(("status__in", ["IN_PROGRESS", "PENDING"]), _negated=True),
                        ("ended_as__in", ["CANCELLED", "COMPLETED", "FAILED"]),
                    ),
                    _connector="OR",
                ),
                name="attempt_that_is_not_open_says_how_it_ended",
            ),
        ),
    ]
