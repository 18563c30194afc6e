"""Counts that outlive the jobs: attempts by the hour, steps of the engine, and the probe job's times."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class JobTally(models.Model):
    """How many attempts ended how in one hour, with their times: what metrics and charts add up.

    It outlives the jobs, so that counters never go back after a clean-up. A row is written by many workers; shards
    keep them from waiting for each other. Buckets count by `jobs.metrics.hourly.BOUNDS`.
    """

    class Outcome(models.TextChoices):
        """How an attempt ended, or that a person asked for another round."""

        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        RETRIED = "retried", "Failed, with an automatic retry to follow"
        CANCELLED = "cancelled", "Cancelled"
        MANUAL_RETRY = "manual_retry", "Retried by a person"

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    shard = models.SmallIntegerField()
    queue = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    count = models.BigIntegerField(default=0)
    rescued = models.BigIntegerField(default=0, help_text="Of these, ended because their worker was gone.")
    retries = models.BigIntegerField(default=0, help_text="Of these, not the first of their chain.")
    organizations = models.BigIntegerField(default=0)
    failed_organizations = models.BigIntegerField(default=0)
    superseded_organizations = models.BigIntegerField(default=0)
    waiting_seconds = models.FloatField(default=0)
    waiting_buckets = ArrayField(models.BigIntegerField())
    processing_seconds = models.FloatField(default=0)
    processing_buckets = ArrayField(models.BigIntegerField())
    chains = models.BigIntegerField(default=0, help_text="Of these, the last of their chain.")
    reopened = models.BigIntegerField(
        default=0, db_default=0, help_text="Of these ends of chains, those that a person has taken back by a retry."
    )
    chain_seconds = models.FloatField(default=0)
    chain_buckets = ArrayField(models.BigIntegerField())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "queue", "kind", "outcome", "shard"], name="one_tally_each_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.queue} {self.kind} {self.outcome}: {self.count}"


class Canary(models.Model):
    """A job that does nothing, sent through a queue each minute: when the last one came through.

    The row outlives the jobs, of which only the latest is kept.
    """

    queue = models.CharField(max_length=64, primary_key=True)
    job_id = models.BigIntegerField(null=True, help_text="The latest canary's job.")
    sent_at = models.DateTimeField(null=True)
    returned_at = models.DateTimeField(null=True, help_text="When one came through last.")

    def __str__(self) -> str:
        return f"canary of {self.queue}"


class EngineCount(models.Model):
    """How often the engine did something that no job's record tells, such as sweep; only ever grows."""

    name = models.CharField(max_length=64, primary_key=True)
    value = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"
