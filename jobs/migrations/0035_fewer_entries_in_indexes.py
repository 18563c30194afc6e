"""Indexes that leave out the jobs for which nobody looks into them. So a claim and an end write half as many entries.

PostgreSQL builds the new indexes while others write, because the table may be large. The old ones go afterwards.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q
from django.db.models.fields.json import KeyTransform
from django.db.models.lookups import IsNull

FLAG = KeyTransform("featureFlagName", "arguments")
NEW_INDEXES = (
    models.Index(fields=["organization", "-id"], name="organization_job", condition=Q(organization__isnull=False)),
    models.Index(
        fields=["organization", "status", "-id"],
        name="organization_job_by_status",
        condition=Q(organization__isnull=False),
    ),
    models.Index(fields=["status", "-id"], name="job_by_status_and_chain", include=("parent_job",)),
    models.Index(fields=["ended_as", "-id"], name="ended_job_by_end", condition=~Q(ended_as="")),
    models.Index(fields=["completed_at"], name="ended_job_by_time", condition=Q(completed_at__isnull=False)),
    models.Index(fields=["requested_by", "-id"], name="requested_job_by_who", condition=~Q(requested_by="")),
    models.Index(fields=["correlation_id"], name="correlated_job", condition=~Q(correlation_id="")),
    models.Index(FLAG, models.F("id").desc(), name="flag_job_by_flag", condition=Q(IsNull(FLAG, False))),  # noqa: FBT003
)
OLD_INDEXES = (
    "job_of_organization",
    "job_of_organization_by_status",
    "job_by_status",
    "first_job_by_status",
    "attempt_by_end",
    "job_by_end",
    "job_by_who_asked",
    "job_by_correlation",
    "job_by_flag",
)
RETRY_NUMBER = "one_retry_of_each_number"
UNIQUE_INDEX = """
CREATE UNIQUE INDEX CONCURRENTLY new_retry_number ON jobs_job (parent_job_id, retry_count)
 WHERE parent_job_id IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("jobs", "0034_former_secrets"),
        ("orgs", "0018_refuse_invisible_characters_in_keys"),
    ]

    operations = [
        *(AddIndexConcurrently(model_name="job", index=index) for index in NEW_INDEXES),
        *(RemoveIndexConcurrently(model_name="job", name=name) for name in OLD_INDEXES),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        UNIQUE_INDEX,
                        f"ALTER TABLE jobs_job DROP CONSTRAINT {RETRY_NUMBER}",
                        f"ALTER INDEX new_retry_number RENAME TO {RETRY_NUMBER}",
                    ],
                    [
                        f"ALTER INDEX {RETRY_NUMBER} RENAME TO new_retry_number",
                        f"ALTER TABLE jobs_job ADD CONSTRAINT {RETRY_NUMBER} UNIQUE (parent_job_id, retry_count)",
                        "DROP INDEX new_retry_number",
                    ],
                )
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="job", name=RETRY_NUMBER),
                migrations.AddConstraint(
                    model_name="job",
                    constraint=models.UniqueConstraint(
                        fields=["parent_job", "retry_count"], name=RETRY_NUMBER, condition=Q(parent_job__isnull=False)
                    ),
                ),
            ],
        ),
    ]
