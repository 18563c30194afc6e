"""The model of scheduled changes."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from flags.definitions.models import Flag
from flags.values.stored_json import StoredJson
from jobs.engine.models import Job
from orgs.tree.models import Organization


class ScheduleQuerySet(models.QuerySet["FlagSchedule"]):
    """A query of scheduled changes."""

    def open(self) -> ScheduleQuerySet:
        """Return those that wait for their time or for a retry."""
        return self.filter(models.Q(status=FlagSchedule.Status.PENDING) | models.Q(next_retry_at__isnull=False))


class FlagSchedule(models.Model):
    """A change of a flag at a time, past or coming. docs/schedules.md describes its states.

    The foreign keys to flag and organization have no constraints, because the row stays when these are deleted. A
    recurring change has one row for each occurrence. Flagsite creates the next row when it first tries the row before;
    `series` refers to the first row.
    """

    class Status(models.TextChoices):
        """The status of a scheduled change."""

        PENDING = "pending", "Pending: waits for its time"
        APPLIED = "applied", "Applied"
        FAILED = "failed", "Failed: for good, or until its retry"
        CANCELLED = "cancelled", "Cancelled"

    id = models.BigAutoField(primary_key=True)
    flag = models.ForeignKey(
        Flag, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="schedules"
    )
    flag_key = models.CharField(max_length=255)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="Where the flag is set; empty: the flag's own definition is changed.",
    )
    wanted = models.JSONField(
        decoder=StoredJson, help_text='What to apply: {"enabled": true}; for a definition some of its fields.'
    )
    scheduled_at = models.DateTimeField(db_index=True)
    status = models.CharField(
        max_length=16, choices=Status.choices, default=Status.PENDING, db_default=Status.PENDING.value
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="How often it was tried.")
    retry_count = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Automatic retries that were made."
    )
    max_retries = models.PositiveSmallIntegerField(default=3, db_default=3)
    next_retry_at = models.DateTimeField(null=True, db_index=True)
    last_error = models.TextField(default="", db_default="", blank=True)
    applied_at = models.DateTimeField(null=True)
    first_try = models.BooleanField(null=True, help_text="Whether it was applied at the first try.")
    change_number = models.BigIntegerField(null=True, help_text="Of the change that it led to.")
    job = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,  # jobs are deleted some time after they ended
        db_index=False,
        related_name="+",
        help_text="The job that it led to.",
    )
    cron = models.CharField(
        max_length=100, default="", db_default="", blank=True, help_text="When it recurs; empty: it does not."
    )
    time_zone = models.CharField(
        max_length=64, default="", db_default="", blank=True, help_text="Of the cron expression."
    )
    series = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="occurrences", db_index=False)
    paired_with = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, related_name="+", help_text="The other half of on and off."
    )
    first_step = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,  # the clean-up deletes each step by itself
        related_name="+",
        help_text="The first step of a rollout in steps; the first step refers to itself.",
    )
    created_by = models.CharField(max_length=200)
    author_organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="The top of the scope that the author had; empty: everything.",
    )
    author_gone = models.CharField(
        max_length=200,
        default="",
        db_default="",
        blank=True,
        help_text="What had become of a person who had left when it was applied.",
    )
    reason = models.TextField(default="", db_default="", blank=True)
    correlation_id = models.CharField(max_length=128, default="", db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = "scheduled change"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(max_retries__lte=10), name="schedule_retries_are_0_to_10"),
            models.CheckConstraint(
                condition=models.Q(status="failed") | models.Q(next_retry_at__isnull=True),
                name="schedule_retry_follows_failure",
            ),
            models.CheckConstraint(
                condition=models.Q(cron="", series__isnull=True) | ~models.Q(cron=""),
                name="schedule_series_recurs",
            ),
            models.UniqueConstraint(fields=["series", "scheduled_at"], name="schedule_once_each_time"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["scheduled_at", "id"], condition=models.Q(status="pending"), name="schedule_due"),
            models.Index(
                fields=["flag", "scheduled_at", "id"],
                condition=models.Q(status__in=["pending", "failed"]),
                name="schedule_in_line_for_flag",
            ),
            models.Index(fields=["organization", "-id"], name="schedule_of_organization"),
            models.Index(
                fields=["author_organization", "-id"],
                condition=models.Q(author_organization__isnull=False),
                name="schedule_of_authors_scope",
            ),
        ]

    def __str__(self) -> str:
        what = ", ".join(f"{name} {value}" for name, value in self.wanted.items())
        return f"{self.flag_key}: {what}"

    @property
    def subject(self) -> str:
        """The subject of audit entries about this schedule."""
        return f"flag-schedule:{self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether Flagsite will still try to apply this schedule."""
        return self.status == self.Status.PENDING or self.next_retry_at is not None
