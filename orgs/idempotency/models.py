"""The table of idempotency keys and stored answers."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class IdempotentRequest(models.Model):
    """A write with an Idempotency-Key, and its answer."""

    id = models.BigAutoField(primary_key=True)
    caller = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty while the request is carried out.")
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["caller", "key"], name="one_answer_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
