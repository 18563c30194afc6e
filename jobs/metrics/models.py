"""The model of the times at which probe jobs were created and ran."""

from __future__ import annotations

from django.db import models


class Probe(models.Model):
    """The times of the latest probe jobs of a queue.

    The row stays when probe jobs are deleted. Only the latest probe job is kept.
    """

    queue = models.CharField(max_length=64, primary_key=True)
    job_id = models.BigIntegerField(null=True, help_text="The latest probe job.")
    sent_at = models.DateTimeField(null=True)
    returned_at = models.DateTimeField(null=True, help_text="When a probe job ran last.")

    class Meta:
        db_table = "jobs_canary"

    def __str__(self) -> str:
        return f"probe of {self.queue}"
