"""The model of batches."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Coalesce, Now

from jobs.engine.models import Job
from orgs.tree.models import Organization


class BatchOutcome(models.TextChoices):
    """How a batch has ended."""

    SUCCEEDED = "SUCCEEDED", "All members succeeded"
    PARTIAL = "PARTIAL", "Some members did not succeed"
    FAILED = "FAILED", "No member succeeded, or a required member failed"
    CANCELLED = "CANCELLED", "Cancelled"


class FailurePolicy(models.TextChoices):
    """What the failure of a member means for the others."""

    WAIT_FOR_ALL = "wait_for_all", "The others go on"
    STOP_AT_FIRST_FAILURE = "stop_at_first_failure", "The others are cancelled"


class Batch(models.Model):
    """Many chains as one piece of work. Its members are the chains whose jobs name the batch.

    A batch is open exactly as long as one of its chains is open. Only `jobs.batches.ending` ends and reopens a batch.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200)
    key = models.CharField(
        max_length=100,
        default="",
        db_default="",
        help_text="While a batch with this key is open, no second batch of the organization has it.",
    )
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    correlation_id = models.CharField(max_length=128, default="", db_default="")
    generation = models.PositiveIntegerField(
        default=1, db_default=1, help_text="1 when the batch is created, and one more after each reopening."
    )
    total = models.PositiveIntegerField(default=0, db_default=0, help_text="The number of members.")
    failure_policy = models.CharField(
        max_length=24,
        choices=FailurePolicy.choices,
        default=FailurePolicy.WAIT_FOR_ALL,
        db_default=FailurePolicy.WAIT_FOR_ALL.value,
    )
    trigger = models.CharField(max_length=16, choices=Job.Trigger.choices, default=Job.Trigger.ADMIN)
    priority = models.SmallIntegerField(default=0, db_default=0, help_text="The priority of the members.")
    on_finish_kind = models.CharField(
        max_length=64, default="", db_default="", help_text="The kind of the job that follows at the end, or empty."
    )
    on_finish_arguments = models.JSONField(default=dict, db_default={})
    callback_job_id = models.BigIntegerField(null=True, help_text="The job that followed the latest end.")
    callback_error = models.TextField(default="", db_default="", help_text="Why no job could follow the latest end.")
    requested_by = models.CharField(max_length=200, default="", db_default="")
    reason = models.TextField(default="", db_default="")

    outcome = models.CharField(
        max_length=16, choices=BatchOutcome.choices, default="", db_default="", help_text="Empty while it is open."
    )
    succeeded = models.PositiveIntegerField(null=True, help_text="Members that succeeded; null while it is open.")
    partial = models.PositiveIntegerField(null=True, help_text="Members that completed, but not for all organizations.")
    failed = models.PositiveIntegerField(null=True)
    cancelled = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True, help_text="When the failure of a member stopped the others.")
    cancel_requested_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=200, default="", db_default="")
    cancel_reason = models.TextField(default="", db_default="")

    class Meta:
        verbose_name_plural = "batches"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(outcome="", finished_at=None)
                | (~models.Q(outcome="") & ~models.Q(finished_at=None)),
                name="batch_has_an_outcome_exactly_after_its_end",
            ),
            models.UniqueConstraint(
                models.F("key"),
                Coalesce("organization_id", 0),
                condition=~models.Q(key="") & models.Q(finished_at=None, generation=1),
                name="one_open_batch_of_each_key",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="open_batch", condition=models.Q(finished_at=None)),
            models.Index(fields=["organization", "-id"], name="batch_of_organization"),
            models.Index(fields=["finished_at"], name="batch_by_end"),
            models.Index(fields=["outcome", "-id"], name="batch_by_outcome"),
            models.Index(fields=["key", "-id"], name="batch_by_key", condition=~models.Q(key="")),
            models.Index(fields=["correlation_id"], name="batch_by_correlation"),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether a member is open."""
        return self.finished_at is None

    @property
    def is_stopping(self) -> bool:
        """Whether the open members are about to be cancelled."""
        return self.is_open and bool(self.stopped_at or self.cancel_requested_at)
