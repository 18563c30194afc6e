"""Upload files for jobs, and find the artifacts that a caller may see."""

from __future__ import annotations

from typing import Any, BinaryIO
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from flagsite.core.db.turns import take_turn
from flagsite.core.ids import MAX_ID
from jobs.artifacts import files
from jobs.artifacts.models import LONGEST_NAME, Artifact, ArtifactQuerySet
from jobs.artifacts.output import expiry
from jobs.engine.chains import job_for
from jobs.errors import ArtifactNotFound, TooManyUploads
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import visible_organizations
from orgs.audit import audit_log
from orgs.errors import RoleNeeded

UPLOADS = "uploads"
"""The folder of the uploaded files in the storage."""


def upload(caller: Caller, content: BinaryIO, *, name: str, media_type: str, reason: str = "") -> Artifact:
    """Store a file that a job of the caller shall read. Callers with another scope do not see it.

    Raises TooManyUploads.
    """
    storage_key = f"{UPLOADS}/{uuid4().hex}"
    size, sha256 = files.save(storage_key, content)
    with transaction.atomic():
        try:
            uploaded = Artifact.objects.current().filter(Q(organization_id=caller.organization_id), job=None)
            check_room(uploaded, "uploaded artifacts", caller.organization_id)
        except TooManyUploads:
            files.artifact_files().delete(storage_key)
            raise
        artifact = Artifact.objects.create(
            organization_id=caller.organization_id,
            name=name[-LONGEST_NAME:],
            media_type=media_type,
            size=size,
            sha256=sha256,
            storage_key=storage_key,
            created_by=caller.name,
            expires_at=expiry(),
        )
        audit_log.record(
            "artifact.upload", f"artifact:{artifact.pk}", by=caller.name, organization_id=caller.organization_id,
            reason=reason, file=artifact.name, bytes=size,
        )  # fmt: skip
    artifact.refresh_from_db(fields=["created_at", "expires_at"])
    return artifact


def check_room(rows: QuerySet[Any], what: str, organization_id: int | None) -> None:
    """Check that the organization may have one more of these rows. None stands for all organizations together.

    Uploads that come at the same time take turns, so that none of them is one too many. Raises TooManyUploads.
    """
    take_turn(f"{what} of organization {organization_id}")
    if rows.count() >= settings.UPLOADS_PER_ORGANIZATION:
        who = "This organization has" if organization_id else "There are, for all organizations together,"
        raise TooManyUploads(
            f"{who} {settings.UPLOADS_PER_ORGANIZATION:,} {what} already. Wait until some have ended, or delete "
            "old ones with a clean-up. Whoever runs this installation can raise the setting UPLOADS_PER_ORGANIZATION."
        )


def artifacts_of(caller: Caller) -> ArtifactQuerySet:
    """Return the artifacts that the caller may see and that have not expired."""
    artifacts: ArtifactQuerySet = Artifact.objects.current().readable_with(caller.role)
    if caller.organization_id is None:
        return artifacts
    return artifacts.filter(organization_id__in=visible_organizations(caller).values("pk"))


def find_upload(caller: Caller, artifact_id: int) -> Artifact:
    """Return an artifact for a job that the caller requests: an uploaded file, or the artifact of another job.

    Raises ArtifactNotFound.
    """
    artifact = artifacts_of(caller).filter(pk=artifact_id).first() if 0 < artifact_id <= MAX_ID else None
    if artifact is None:
        raise ArtifactNotFound(f"There is no artifact {artifact_id}, it has expired, or it is not yours to see.")
    return artifact


def find_artifact(caller: Caller, job_id: int, name: str) -> Artifact:
    """Return an artifact of the chain of a job. Raises JobNotFound, ArtifactNotFound, RoleNeeded."""
    job = job_for(caller, job_id)
    artifact = Artifact.objects.current().filter(job_id=job.root_id, name=name).first()
    if artifact is None:
        raise ArtifactNotFound
    if artifact.role and not caller.may(Role(artifact.role)):
        raise RoleNeeded(f"Your role is {caller.role.value}, and this artifact needs {artifact.role}.")
    return artifact
