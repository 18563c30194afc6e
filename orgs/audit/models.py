"""The table of the audit log: one row for each action of a person or a program.

The table and its indexes still have the names from the time when the audit log was called history.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from orgs.tree.models import Organization


class AuditEntry(models.Model):
    """One action of a person or a program: actor, action, subject, time, reason and channel.

    `orgs.audit.audit_log.record` adds entries. A trigger refuses to change or delete an entry.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=200, help_text="user:alice, key:4fG6aB nightly-sync, command:root@host.")
    action = models.CharField(max_length=64, help_text="What was done, such as job.retry.")
    subject = models.CharField(max_length=300, help_text="What it was done to, such as job:17.")
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,  # the entry stays when the organization is deleted
        db_index=False,
        related_name="+",
    )
    reason = models.TextField(default="", blank=True)
    details = models.JSONField(default=dict, help_text="What it was before and is after, and the like.")
    via = models.CharField("channel", max_length=16, help_text="api, admin, command, worker or schedule.")
    address = models.CharField(max_length=64, default="", help_text="Where the request came from.")
    correlation_id = models.CharField(max_length=128, default="")

    class Meta:
        db_table = "orgs_historyentry"
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        # An import adds an entry for each organization. Each index grows at its end then, because ids and times ascend,
        # and PostgreSQL reads it backwards for the newest entries first.
        indexes: ClassVar = [
            # the subject of an access key has its name after the prefix: "key:4fG6aB nightly-sync"
            models.Index(
                fields=["subject", "id"], name="audit_by_subject", opclasses=["varchar_pattern_ops", "int8_ops"]
            ),
            models.Index(fields=["organization", "id"], name="audit_by_organization"),
            models.Index(fields=["actor", "id"], name="audit_by_actor"),
            models.Index(fields=["action", "id"], name="audit_by_action"),
            models.Index(fields=["via", "id"], name="audit_by_channel"),
            models.Index(fields=["at", "id"], name="audit_by_time"),
            models.Index(fields=["correlation_id"], name="audit_by_request"),
            models.Index(
                KeyTextTransform("flag", "details"),
                "id",
                name="audit_by_flag",
                condition=models.Q(details__has_key="flag"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.subject}"
