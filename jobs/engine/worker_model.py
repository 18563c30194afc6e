"""The model of workers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Worker(models.Model):
    """A worker that writes every few seconds that it is alive. This is for people; no code relies on it."""

    token = models.CharField(
        max_length=16,
        primary_key=True,
        help_text="Unique for each start of a worker; part of the column `worker` of jobs.",
    )
    name = models.CharField(
        max_length=250, default="", db_default="", help_text="The worker's name in Celery, such as reports@host-1."
    )
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list, db_default=[])
    kinds = models.JSONField(null=True, help_text="The kinds of jobs that the worker knows; empty: any kind.")
    concurrency = models.PositiveIntegerField(default=1, db_default=1)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    gone_at = models.DateTimeField(null=True, help_text="When it was noticed that the worker does not report any more.")
    is_stopping = models.BooleanField(default=False, db_default=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
