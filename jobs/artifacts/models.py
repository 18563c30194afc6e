"""The table of artifacts. The files themselves are in the storage that ARTIFACTS_URL names (`jobs.artifacts.files`)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from orgs.access.models import Role
from orgs.tree.models import Organization

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
"""The names that the artifacts of jobs may have: they are part of an address and of the key of a file."""
LONGEST_NAME = 200


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    """Queries for artifacts."""

    def current(self) -> ArtifactQuerySet:
        """Return the artifacts that have not expired."""
        return self.filter(expires_at__gt=Now())

    def readable_with(self, role: Role) -> ArtifactQuerySet:
        """Return the artifacts whose content somebody with this role may read."""
        return self.filter(role__in=["", *(needed for needed in Role if role.includes(needed))])


class Artifact(models.Model):
    """A file of a job, or a file that somebody has uploaded for a job (`job` is null).

    The row is written after the file, so each row has a file. A file without a row is deleted after a day.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        "jobs.Job", on_delete=models.CASCADE, null=True, related_name="artifacts", help_text="The chain's first job."
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        help_text="The organization of the job, or the scope of the person or program that has uploaded the file.",
    )
    name = models.CharField(max_length=LONGEST_NAME)
    media_type = models.CharField(max_length=100)
    size = models.BigIntegerField(help_text="In bytes.")
    sha256 = models.CharField(max_length=64)
    role = models.CharField(
        max_length=16,
        choices=Role.choices,
        default="",
        db_default="",
        help_text="The role that its readers need; empty: every role that may download artifacts.",
    )
    storage_key = models.CharField(max_length=300, unique=True)
    created_by = models.CharField(max_length=200, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["job", "name"], name="one_artifact_of_each_name", condition=models.Q(job__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.name
