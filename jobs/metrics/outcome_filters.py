"""Filter jobs by how the attempt ended. `jobs.counting` counts the same outcomes when an attempt ends."""

from __future__ import annotations

from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from jobs.counting.models import AttemptOutcome
from jobs.engine.models import Job
from jobs.engine.states import Status

Jobs = QuerySet[Job]
LAST = "last"
"""The last attempt of a chain that is COMPLETED or FAILED. This is a filter only, and no `AttemptOutcome`."""
CHOICES = [
    (AttemptOutcome.COMPLETED.value, "completed"),
    (AttemptOutcome.FAILED.value, "failed for good"),
    (AttemptOutcome.RETRIED.value, "failed, with an automatic retry"),
    (AttemptOutcome.CANCELLED.value, "cancelled"),
    (LAST, "was the last of its job"),
]


def filter_by_outcome(jobs: Jobs, outcome: str) -> Jobs:
    """Return the attempts with this outcome, which is a value of CHOICES. Another value returns all attempts."""
    failed = Q(ended_as=Status.FAILED)
    number = Case(When(parent_job_id=None, then=Value(0)), default=F("retry_count"), output_field=IntegerField())
    next_attempt = Job.objects.filter(  # index one_retry_of_each_number
        parent_job_id=Coalesce(OuterRef("parent_job_id"), OuterRef("pk")), retry_count=OuterRef("number") + 1
    )
    automatic = Exists(next_attempt.filter(trigger=Job.Trigger.AUTOMATIC))
    conditions = {
        AttemptOutcome.COMPLETED.value: Q(ended_as=Status.COMPLETED),
        AttemptOutcome.FAILED.value: failed & ~automatic,  # a manual retry may follow
        AttemptOutcome.RETRIED.value: failed & automatic,
        AttemptOutcome.CANCELLED.value: Q(ended_as=Status.CANCELLED),
        LAST: Q(ended_as__in=[Status.COMPLETED, Status.FAILED]) & ~Exists(next_attempt),
    }
    return jobs.alias(number=number).filter(conditions[outcome]) if outcome in conditions else jobs
