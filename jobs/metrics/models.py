"""When probe jobs were sent and done."""

from __future__ import annotations

from django.db import models


class Probe(models.Model):
    """A queue's probe: when the last probe job was sent, and when one was done last.

    The row outlives the probe jobs, of which only the latest is kept.
    """

    queue = models.CharField(max_length=64, primary_key=True)
    job_id = models.BigIntegerField(null=True, help_text="The latest probe job.")
    sent_at = models.DateTimeField(null=True)
    returned_at = models.DateTimeField(null=True, help_text="When a probe job was done last.")

    class Meta:
        db_table = "jobs_canary"

    def __str__(self) -> str:
        return f"probe of {self.queue}"
