"""How attempts ended, filtered from the jobs themselves; `jobs.counting` counts the same when an attempt ends."""

from __future__ import annotations

from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from jobs.counting.models import AttemptOutcome
from jobs.engine.models import Job
from jobs.engine.states import Status

Jobs = QuerySet[Job]
LAST = "last"
"""No outcome of the tallies: the attempt came last in a job that COMPLETED or FAILED, and nobody has retried that."""
CHOICES = [
    (AttemptOutcome.COMPLETED.value, "completed"),
    (AttemptOutcome.FAILED.value, "failed for good"),
    (AttemptOutcome.RETRIED.value, "failed, with an automatic retry"),
    (AttemptOutcome.CANCELLED.value, "cancelled"),
    (LAST, "was the last of its job"),
]


def filter_by_outcome(jobs: Jobs, how: str) -> Jobs:
    """Those of the attempts that ended so; all of them where `how` is none of the CHOICES."""
    failed = Q(status__in=[Status.FAILED, Status.RETRYING])
    number = Case(When(parent_job_id=None, then=Value(0)), default=F("retry_count"), output_field=IntegerField())
    next_one = Job.objects.filter(  # by the index one_retry_of_each_number
        parent_job_id=Coalesce(OuterRef("parent_job_id"), OuterRef("pk")), retry_count=OuterRef("number") + 1
    )
    automatic = Exists(next_one.filter(trigger=Job.Trigger.AUTOMATIC))
    ways = {
        AttemptOutcome.COMPLETED.value: Q(status=Status.COMPLETED),
        AttemptOutcome.FAILED.value: failed & ~automatic,  # a person may have asked for another round since
        AttemptOutcome.RETRIED.value: failed & automatic,
        AttemptOutcome.CANCELLED.value: Q(status=Status.CANCELLED),
        LAST: Q(status__in=[Status.COMPLETED, Status.FAILED]) & ~Exists(next_one),
    }
    return jobs.alias(number=number).filter(ways[how]) if how in ways else jobs
