"""Models of jobs, of organizations that failed in a job, and of queues."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from jobs.engine.batch_part import PartOfBatch
from jobs.engine.job_indexes import INDEXES, UNIQUENESS
from jobs.engine.states import FINAL, OPEN, Status
from orgs.tree.models import Organization

QUEUE_NAME = r"^[a-z0-9][a-z0-9_-]*\Z"
QUEUE_NAME_WORDS = "small letters, digits, - and _, with a letter or a digit first"


class Backoff(models.TextChoices):
    """How the waits before automatic retries grow."""

    EXPONENTIAL = "exponential", "Exponential"
    FIXED = "fixed", "Fixed"


class Queue(models.Model):
    """A named list of waiting jobs with its own settings. A new setting applies from the next claim or failure on."""

    name = models.CharField(
        max_length=64,
        primary_key=True,
        validators=[RegexValidator(QUEUE_NAME, f"Write {QUEUE_NAME_WORDS}.")],
        help_text=f"For people, workers and addresses: {QUEUE_NAME_WORDS}.",
    )
    concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],  # 0 is refused: a pause stops a queue, and records actor and reason
        help_text="How many jobs of the queue may run at the same time on all workers; empty means no limit.",
    )
    max_retries = models.PositiveSmallIntegerField(
        default=3,
        db_default=3,
        validators=[MaxValueValidator(10)],
        help_text="Automatic retries after the first attempt.",
    )
    backoff_type = models.CharField(
        max_length=16,
        choices=Backoff.choices,
        default=Backoff.EXPONENTIAL,
        db_default=Backoff.EXPONENTIAL.value,
        help_text="Exponential: each automatic retry waits longer than the one before. Fixed: all wait equally long.",
    )
    backoff_base = models.FloatField(
        default=2.0,
        db_default=2.0,
        validators=[MinValueValidator(1.0), MaxValueValidator(60.0)],
        help_text="By which factor the wait grows from one automatic retry to the next, if the backoff is exponential.",
    )
    backoff_delay = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0), MaxValueValidator(3600.0)],
        help_text="Seconds before the first automatic retry; empty means as many as the factor.",
    )
    backoff_jitter = models.FloatField(
        default=0.0,
        db_default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share by which a backoff may grow at random; 0.2 means up to 20 %.",
    )
    rate_allowed = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many jobs of the queue may start in the time of the rate, retries included; empty: no limit.",
    )
    rate_seconds = models.PositiveIntegerField(
        default=60,
        db_default=60,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="The time of the rate, in seconds.",
    )
    rate_arrival_at = models.DateTimeField(
        null=True, editable=False, help_text="The theoretical arrival time of the next start; the claim advances it."
    )
    is_fair = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether the organization with the fewest running jobs of the queue comes first.",
    )
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Set while the queue is paused, so that none of its jobs may start."
    )
    paused_by = models.CharField(max_length=200, default="", db_default="", blank=True)
    pause_reason = models.TextField(default="", db_default="", blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(concurrency=0), name="queue_is_stopped_by_a_pause_alone")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rate_interval(self) -> timedelta:
        """The time between two starts, if they come as regularly as the rate allows."""
        return timedelta(seconds=self.rate_seconds) / (self.rate_allowed or 1)

    @property
    def rate_tolerance(self) -> timedelta:
        """How much earlier than regularly a job may start, so that `rate_allowed` jobs may start at once."""
        return timedelta(seconds=self.rate_seconds) - self.rate_interval


ENDED_BADLY = models.Q(ended_as=Status.FAILED) | models.Q(ended_as=Status.COMPLETED, failed__gt=0)
"""Attempts that a person may retry if they are the latest: FAILED, or COMPLETED with organizations that failed."""


class JobQuerySet(models.QuerySet["Job"]):
    """Queries for jobs."""

    def due(self) -> JobQuerySet:
        """Return jobs that wait and are due."""
        return self.filter(status=Status.PENDING, run_at__lte=Now())

    def expired(self) -> JobQuerySet:
        """Return jobs that are IN_PROGRESS, but whose worker has not renewed the lease in time."""
        return self.filter(status=Status.IN_PROGRESS, lease_expires_at__lt=Now())

    def of_chain(self, root_id: int) -> JobQuerySet:
        """Return a first job and its retries, oldest first."""
        return self.filter(models.Q(pk=root_id) | models.Q(parent_job_id=root_id)).order_by("id")


class Job(PartOfBatch):
    """One attempt at a piece of work. Each retry is a job of its own, and `parent_job` is the first job of its chain.

    `status` tells how the work stands (`jobs.engine.states`), and `ended_as` tells how this attempt ended. Only
    `jobs.engine.transitions` writes `status`. A trigger refuses every transition that is not in `states.TRANSITIONS`,
    and writes `ended_as`.
    """

    class Trigger(models.TextChoices):
        """What created this attempt.

        A first attempt comes from a request that changes flags or organizations, or it is enqueued by an operator, a
        schedule or an event. A retry comes from a failure or from a person.
        """

        REQUEST = "request", "A request"
        ADMIN = "admin", "An operator"
        SCHEDULE = "schedule", "A schedule"
        EVENT = "event", "An event"
        AUTOMATIC = "automatic", "The failure before it"
        MANUAL = "manual", "A person"

    class Uniqueness(models.TextChoices):
        """How long a unique key holds."""

        OPEN = "open", "Until the work has ended"
        WAITING = "waiting", "Until the job starts"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=64)
    queue = models.CharField(max_length=64)
    priority = models.SmallIntegerField(default=0, db_default=0, help_text="Higher runs first.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING, db_default="PENDING")
    ended_as = models.CharField(
        max_length=16,
        choices=Status.choices,
        default="",
        db_default="",
        help_text="How this attempt ended, whatever its retries did later; empty while it waits or runs.",
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,  # the job stays when the organization is deleted
        db_index=False,
        related_name="+",
    )
    arguments = models.JSONField(default=dict, db_default={})
    only_behind = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether the job covers only the organizations that an earlier attempt did not write.",
    )

    parent_job = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="retries", db_index=False)
    trigger = models.CharField(max_length=16, choices=Trigger.choices, default=Trigger.REQUEST, db_default="request")
    retry_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="For the first job of a chain, the number of its retries; for a retry, its own number.",
    )
    round_attempt = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="Automatic retries since the request or the last manual retry; sets the backoff and the last retry.",
    )
    max_retries = models.PositiveSmallIntegerField(
        default=3,
        db_default=3,
        help_text="The automatic retries that the queue allowed when the attempt was created, or when it failed.",
    )

    total = models.BigIntegerField(null=True)
    processed = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0, db_default=0)
    superseded = models.BigIntegerField(
        default=0, db_default=0, help_text="Processed organizations that already had the value of a later change."
    )
    unchanged = models.BigIntegerField(
        default=0, db_default=0, help_text="Processed organizations that already had the same value."
    )
    carried_processed = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text="With only_behind: the organizations that earlier attempts processed and this one leaves out.",
    )
    carried_superseded = models.BigIntegerField(default=0, db_default=0)
    carried_unchanged = models.BigIntegerField(default=0, db_default=0)
    checkpoint = models.JSONField(
        null=True, help_text="The position from which the job continues after an interruption."
    )
    error_message = models.TextField(null=True)  # noqa: DJ001 - null is "no error" in the API
    error_traceback = models.TextField(default="", db_default="")

    requested_by = models.CharField(max_length=200, default="", db_default="")
    reason = models.TextField(default="", db_default="", help_text="Why a person retried the previous attempt.")
    cancelled_by = models.CharField(
        max_length=200, default="", db_default="", help_text="The actor who cancelled the job first."
    )
    cancel_reason = models.TextField(default="", db_default="", help_text="Why this actor cancelled the job.")
    correlation_id = models.CharField(max_length=128, default="", db_default="")
    trace_context = models.CharField(
        max_length=64, default="", db_default="", help_text="The W3C traceparent of the request, if it was traced."
    )

    unique_key = models.CharField(  # noqa: DJ001 - the index leaves out jobs without a key
        max_length=200,
        null=True,
        help_text="No second job can have this key. The engine clears it when the uniqueness ends.",
    )
    unique_while = models.CharField(
        max_length=8,
        choices=Uniqueness.choices,
        default="",
        db_default="",
        help_text="How long the unique key holds.",
    )
    concurrency_key = models.CharField(
        max_length=200,
        default="",
        db_default="",
        help_text="Only a limited number of jobs with the same key run at the same time (see the kind).",
    )
    start_by = models.DateTimeField(null=True, help_text="A job that has not started by then is cancelled.")
    deadline_at = models.DateTimeField(null=True, help_text="When the running attempt has taken too long.")
    result = models.JSONField(null=True, help_text="What the work has found or done, for people and programs.")

    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    run_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True, help_text="When the last wake-up for the job was sent.")
    cancel_requested_at = models.DateTimeField(null=True)

    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=200, default="", db_default="")
    claims = models.PositiveIntegerField(default=0, db_default=0, help_text="How often a worker claimed this attempt.")

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="job_status_is_known"),
            models.CheckConstraint(
                condition=models.Q(status=Status.IN_PROGRESS, lease_token__isnull=False, lease_expires_at__isnull=False)
                | (~models.Q(status=Status.IN_PROGRESS) & models.Q(lease_token__isnull=True)),
                name="job_runs_exactly_while_leased",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=sorted(OPEN), ended_as="")
                | (~models.Q(status__in=sorted(OPEN)) & models.Q(ended_as__in=sorted(FINAL))),
                name="attempt_that_is_not_open_says_how_it_ended",
            ),
            models.CheckConstraint(
                condition=models.Q(parent_job__isnull=True) | models.Q(retry_count__gte=1),
                name="retry_has_a_number",
            ),
            *UNIQUENESS,
        ]
        indexes: ClassVar = [*INDEXES, *PartOfBatch.INDEXES]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def root_id(self) -> int:
        """The id of the first job of the chain."""
        return self.parent_job_id or self.pk

    @property
    def attempt_status(self) -> str:
        """How this attempt stands by itself: how it ended, or PENDING or IN_PROGRESS."""
        return self.ended_as or self.status

    @property
    def is_open(self) -> bool:
        """Whether this attempt waits or runs."""
        return self.status in OPEN

    @property
    def duration(self) -> timedelta | None:
        """The time from start to end, or from start to now if the job has not ended; None before the start."""
        if self.started_at is None:
            return None
        return (self.completed_at or timezone.now()) - self.started_at


class JobFailure(models.Model):
    """An organization for which a job could not do its work, although it continued with the others."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="failures", db_index=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    error = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "organization"], name="one_failure_per_job_and_organization")
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}: {self.error}"


def lease_time() -> timedelta:
    """Return the time after which a lease expires, unless its worker renews it."""
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)
