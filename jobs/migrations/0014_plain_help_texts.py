"""The help texts of the models become plain English. This changes nothing in the database."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0013_standard_words"),
    ]

    operations = [
        migrations.AlterField(
            model_name="hourlymetrics",
            name="chains",
            field=models.BigIntegerField(default=0, help_text="Attempts that ended their chain."),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="reopened",
            field=models.BigIntegerField(
                db_default=0, default=0, help_text="Ended chains that a person has reopened by a retry."
            ),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="rescued",
            field=models.BigIntegerField(
                default=0, help_text="Attempts that the rescuer ended because their worker was dead."
            ),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="retries",
            field=models.BigIntegerField(default=0, help_text="Attempts that were retries."),
        ),
        migrations.AlterField(
            model_name="job",
            name="cancel_reason",
            field=models.TextField(db_default="", default="", help_text="Why this actor cancelled the job."),
        ),
        migrations.AlterField(
            model_name="job",
            name="cancelled_by",
            field=models.CharField(default="", help_text="The actor who cancelled the job first.", max_length=200),
        ),
        migrations.AlterField(
            model_name="job",
            name="checkpoint",
            field=models.JSONField(
                help_text="The position from which the job continues after an interruption.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="claims",
            field=models.PositiveIntegerField(default=0, help_text="How often a worker claimed this attempt."),
        ),
        migrations.AlterField(
            model_name="job",
            name="max_retries",
            field=models.PositiveSmallIntegerField(
                default=3,
                help_text="The automatic retries that the queue allowed when the attempt was created, or when it failed.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="only_behind",
            field=models.BooleanField(
                default=False,
                help_text="Whether the job covers only the organizations that an earlier attempt did not write.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="reason",
            field=models.TextField(default="", help_text="Why a person retried the previous attempt."),
        ),
        migrations.AlterField(
            model_name="job",
            name="retry_count",
            field=models.PositiveIntegerField(
                default=0,
                help_text="For the first job of a chain, the number of its retries; for a retry, its own number.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="round_attempt",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="Automatic retries since the request or the last manual retry; sets the backoff and the last retry.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="superseded",
            field=models.BigIntegerField(
                default=0, help_text="Processed organizations that already had the value of a later change."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="trace_context",
            field=models.CharField(
                default="", help_text="The W3C traceparent of the request, if it was traced.", max_length=64
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="unchanged",
            field=models.BigIntegerField(
                default=0, help_text="Processed organizations that already had the same value."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="woken_at",
            field=models.DateTimeField(help_text="When the last wake-up for the job was sent.", null=True),
        ),
        migrations.AlterField(
            model_name="probe",
            name="returned_at",
            field=models.DateTimeField(help_text="When a probe job ran last.", null=True),
        ),
        migrations.AlterField(
            model_name="queue",
            name="backoff_base",
            field=models.FloatField(
                default=2.0,
                help_text="Automatic retry number n waits this number to the power of n, in seconds.",
                validators=[
                    django.core.validators.MinValueValidator(1.0),
                    django.core.validators.MaxValueValidator(60.0),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="backoff_jitter",
            field=models.FloatField(
                default=0.0,
                help_text="Share by which a backoff may grow at random; 0.2 means up to 20 %.",
                validators=[
                    django.core.validators.MinValueValidator(0.0),
                    django.core.validators.MaxValueValidator(1.0),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="concurrency",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How many jobs of the queue may run at the same time on all workers; empty means no limit.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="paused_at",
            field=models.DateTimeField(
                blank=True, help_text="Set while the queue is paused, so that none of its jobs may start.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="worker",
            name="token",
            field=models.CharField(
                help_text="Unique for each start of a worker; part of the column `worker` of jobs.",
                max_length=16,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
