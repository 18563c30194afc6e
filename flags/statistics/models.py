"""The model of statistics."""

from __future__ import annotations

from django.db import models


class Statistic(models.Model):
    """The latest figures of one statistic, with the time of their computation.

    All statistics share one table, with the figures as JSON: a statistic is written and read as a whole, so that one
    row is replaced by one statement, and no reader sees old and new figures together. A new statistic needs no
    migration.
    """

    name = models.CharField(max_length=32, primary_key=True)
    points = models.JSONField(default=list)
    computed_at = models.DateTimeField()
    seconds = models.FloatField(help_text="How long the computation took.")
    job_id = models.BigIntegerField(null=True, help_text="The job that computed the figures.")

    def __str__(self) -> str:
        return f"{self.name} of {self.computed_at:%Y-%m-%d %H:%M}"
