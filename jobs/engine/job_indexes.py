"""The indexes of the table of jobs, each with what it is for.

Each creation, each claim and each end writes a new entry into every index that contains the job, because the status is
part of some of them. So an index leaves out the jobs for which nobody looks into it. Heartbeats and progress change no
column of an index, so that PostgreSQL can write them without touching any (heap-only updates).
"""

from __future__ import annotations

from django.db.models import F, Index, Q, UniqueConstraint
from django.db.models.fields.json import KeyTransform
from django.db.models.lookups import IsNull

from jobs.engine.states import Status

FLAG = KeyTransform("featureFlagName", "arguments")
HAS_ORGANIZATION = Q(organization__isnull=False)
UNIQUENESS = (
    # A chain cannot fork: if two failures are recorded at the same time, the second retry has a number that exists
    # already. Every query for a chain uses this index as well.
    UniqueConstraint(
        fields=["parent_job", "retry_count"],
        name="one_retry_of_each_number",
        condition=Q(parent_job__isnull=False),
    ),
    UniqueConstraint(
        fields=["unique_key"], name="one_job_of_each_unique_key", condition=Q(unique_key__isnull=False)
    ),
)  # fmt: skip
INDEXES = (
    # claim and rescuer: the due job of a queue that has to run next
    Index(fields=["queue", "-priority", "run_at", "id"], name="job_due", condition=Q(status=Status.PENDING)),
    # metrics: the counts of released jobs that wait again; the index has very few entries
    Index(fields=["queue"], name="job_handed_back", condition=Q(status=Status.PENDING, claims__gt=0)),
    # rescuer: expired leases; claim: how many jobs of a queue run. The lease is no column of the index, so that a
    # renewal, which comes with the progress of each chunk, changes no index.
    Index(fields=["queue"], name="job_running", condition=Q(status=Status.IN_PROGRESS)),
    # rescuer: jobs that have not started in time
    Index(fields=["start_by"], name="job_start_by", condition=Q(status=Status.PENDING, start_by__isnull=False)),
    # GET /jobs/{orgId}: an organization's jobs, newest first
    Index(fields=["organization", "-id"], name="organization_job", condition=HAS_ORGANIZATION),
    Index(fields=["organization", "status", "-id"], name="organization_job_by_status", condition=HAS_ORGANIZATION),
    # filters and search of the admin site, newest first; overview: chains by status, each counted by its first job
    Index(fields=["status", "-id"], name="job_by_status_and_chain", include=["parent_job"]),
    Index(fields=["ended_as", "-id"], name="ended_job_by_end", condition=~Q(ended_as="")),
    Index(fields=["completed_at"], name="ended_job_by_time", condition=Q(completed_at__isnull=False)),
    Index(fields=["queue", "-id"], name="job_by_queue"),
    Index(fields=["trigger", "-id"], name="job_by_trigger"),
    Index(fields=["created_at"], name="job_by_time"),
    Index(fields=["requested_by", "-id"], name="requested_job_by_who", condition=~Q(requested_by="")),
    Index(fields=["correlation_id"], name="correlated_job", condition=~Q(correlation_id="")),
    Index(FLAG, F("id").desc(), name="flag_job_by_flag", condition=Q(IsNull(FLAG, False))),  # noqa: FBT003,
)
