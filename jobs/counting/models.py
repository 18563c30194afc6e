"""Models of counts that stay when jobs are deleted: the hourly metrics and the counters of the engine."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class AttemptOutcome(models.TextChoices):
    """How an attempt ended, or that a person started another round."""

    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    RETRIED = "retried", "Failed, with an automatic retry to follow"
    CANCELLED = "cancelled", "Cancelled"
    MANUAL_RETRY = "manual_retry", "Retried by a person"


class HourlyMetrics(models.Model):
    """The number and the times of the attempts that ended in one hour with one outcome, of one queue, kind and retry.

    Metrics and charts add these rows up. The rows stay when jobs are deleted, so that counters never decrease. Shards
    keep workers that count in the same hour from waiting for each other. `jobs.counting.hourly_metrics.BOUNDS` has the
    upper bounds of the buckets.
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    shard = models.SmallIntegerField()
    queue = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=AttemptOutcome.choices)
    trigger = models.CharField(
        max_length=16,
        default="",
        db_default="",
        help_text="What created the attempts: a request, a person or an automatic retry; empty in rows of versions "
        "that did not count this.",
    )
    retry = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The number of the automatic retry in its round; 0 for other attempts."
    )
    count = models.BigIntegerField(default=0, db_default=0)
    rescued = models.BigIntegerField(
        default=0, db_default=0, help_text="Attempts that the rescuer ended because their worker was dead."
    )
    retries = models.BigIntegerField(default=0, db_default=0, help_text="Attempts that were retries.")
    organizations = models.BigIntegerField(default=0, db_default=0)
    failed_organizations = models.BigIntegerField(default=0, db_default=0)
    superseded_organizations = models.BigIntegerField(default=0, db_default=0)
    waiting_seconds = models.FloatField(default=0, db_default=0)
    waiting_buckets = ArrayField(models.BigIntegerField())
    processing_seconds = models.FloatField(default=0, db_default=0)
    processing_buckets = ArrayField(models.BigIntegerField())
    chains = models.BigIntegerField(default=0, db_default=0, help_text="Attempts that ended their chain.")
    reopened = models.BigIntegerField(
        default=0, db_default=0, help_text="Ended chains that a person has reopened by a retry."
    )
    chain_seconds = models.FloatField(default=0, db_default=0)
    chain_buckets = ArrayField(models.BigIntegerField())
    backoff_seconds = models.FloatField(default=0, db_default=0)
    backoff_buckets = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "jobs_jobtally"
        verbose_name_plural = "hourly metrics"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hour", "queue", "kind", "outcome", "trigger", "retry", "shard"], name="one_tally_each_hour"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.queue} {self.kind} {self.outcome}: {self.count}"


class EngineCounter(models.Model):
    """How often the engine did something that no job records, such as a run of the rescuer. It never decreases."""

    name = models.CharField(max_length=64, primary_key=True)
    value = models.BigIntegerField(default=0, db_default=0)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "jobs_enginecount"

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"
