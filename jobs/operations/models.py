"""The target jobs of bulk operations."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from jobs.engine.models import Job


class BulkTarget(models.Model):
    """A target job of a bulk operation (`jobs.operations.bulk_job`), and the outcome of the operation on it.

    `job` is the first job of the bulk operation's chain. A retry continues with the targets that have no outcome yet.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="targets", db_index=False)
    target_id = models.BigIntegerField(help_text="The job to operate on; it may be deleted by now.")
    outcome = models.CharField(
        max_length=200, default="", db_default="", help_text="Empty: still to do; done; or the reason why not."
    )

    class Meta:
        db_table = "jobs_deedtarget"
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "target_id"], name="one_deed_for_each_target")]

    def __str__(self) -> str:
        return f"{self.target_id}: {self.outcome or 'to do'}"
