"""Batches, and what a job knows of its batch."""

import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0021_rates_and_deadlines"),
        ("orgs", "0017_tell_of_numeric_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="batch_role",
            field=models.CharField(
                choices=[
                    ("member", "A member"),
                    ("required", "A required member"),
                    ("operation", "An operation on the members"),
                ],
                db_default="",
                default="",
                help_text="What the chain is for its batch. A batch fails if a required member fails.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="member_name",
            field=models.CharField(
                db_default="", default="", help_text="The name of the member in its batch.", max_length=200
            ),
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                (
                    "key",
                    models.CharField(
                        db_default="",
                        default="",
                        help_text="While a batch with this key is open, no second batch of the organization has it.",
                        max_length=100,
                    ),
                ),
                ("correlation_id", models.CharField(db_default="", default="", max_length=128)),
                (
                    "generation",
                    models.PositiveIntegerField(
                        db_default=1,
                        default=1,
                        help_text="1 when the batch is created, and one more after each reopening.",
                    ),
                ),
                ("total", models.PositiveIntegerField(db_default=0, default=0, help_text="The number of members.")),
                (
                    "failure_policy",
                    models.CharField(
                        choices=[
                            ("wait_for_all", "The others go on"),
                            ("stop_at_first_failure", "The others are cancelled"),
                        ],
                        db_default="wait_for_all",
                        default="wait_for_all",
                        max_length=24,
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("request", "A request"),
                            ("admin", "An operator"),
                            ("schedule", "A schedule"),
                            ("event", "An event"),
                            ("automatic", "The failure before it"),
                            ("manual", "A person"),
                        ],
                        default="admin",
                        max_length=16,
                    ),
                ),
                (
                    "priority",
                    models.SmallIntegerField(db_default=0, default=0, help_text="The priority of the members."),
                ),
                (
                    "on_finish_kind",
                    models.CharField(
                        db_default="",
                        default="",
                        help_text="The kind of the job that follows at the end, or empty.",
                        max_length=64,
                    ),
                ),
                ("on_finish_arguments", models.JSONField(db_default={}, default=dict)),
                (
                    "callback_job_id",
                    models.BigIntegerField(help_text="The job that followed the latest end.", null=True),
                ),
                (
                    "callback_error",
                    models.TextField(db_default="", default="", help_text="Why no job could follow the latest end."),
                ),
                ("requested_by", models.CharField(db_default="", default="", max_length=200)),
                ("reason", models.TextField(db_default="", default="")),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("SUCCEEDED", "All members succeeded"),
                            ("PARTIAL", "Some members did not succeed"),
                            ("FAILED", "No member succeeded, or a required member failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        db_default="",
                        default="",
                        help_text="Empty while it is open.",
                        max_length=16,
                    ),
                ),
                (
                    "succeeded",
                    models.PositiveIntegerField(help_text="Members that succeeded; null while it is open.", null=True),
                ),
                (
                    "partial",
                    models.PositiveIntegerField(
                        help_text="Members that completed, but not for all organizations.", null=True
                    ),
                ),
                ("failed", models.PositiveIntegerField(null=True)),
                ("cancelled", models.PositiveIntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "stopped_at",
                    models.DateTimeField(help_text="When the failure of a member stopped the others.", null=True),
                ),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("cancelled_by", models.CharField(db_default="", default="", max_length=200)),
                ("cancel_reason", models.TextField(db_default="", default="")),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="orgs.organization",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "batches",
            },
        ),
        migrations.AddField(
            model_name="job",
            name="batch",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="jobs",
                to="jobs.batch",
            ),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(condition=models.Q(("finished_at", None)), fields=["id"], name="open_batch"),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["organization", "-id"], name="batch_of_organization"),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["finished_at"], name="batch_by_end"),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at", None), ("outcome", "")),
                    models.Q(models.Q(("outcome", ""), _negated=True), models.Q(("finished_at", None), _negated=True)),
                    _connector="OR",
                ),
                name="batch_has_an_outcome_exactly_after_its_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.UniqueConstraint(
                models.F("key"),
                django.db.models.functions.comparison.Coalesce("organization_id", 0),
                condition=models.Q(models.Q(("key", ""), _negated=True), ("finished_at", None), ("generation", 1)),
                name="one_open_batch_of_each_key",
            ),
        ),
    ]
