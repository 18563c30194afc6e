"""The artifacts that a job makes: the file is written first, and its row together with the end of the job.

A crash between the two leaves a file without a row, which the clean-up deletes after a day (`retention`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from jobs.artifacts import files
from jobs.artifacts.models import NAME, Artifact
from jobs.errors import InvalidArtifactName


@dataclass(frozen=True, slots=True)
class WrittenArtifact:
    """An artifact whose file is stored, and which has no row yet."""

    name: str
    media_type: str
    size: int
    sha256: str
    storage_key: str
    role: str = ""
    """The role that its readers need; empty if it needs no special role."""


def store(
    content: BinaryIO, *, root_id: int, lease: UUID, name: str, media_type: str, role: str = ""
) -> WrittenArtifact:
    """Store the file of an attempt; the lease makes its key different from those of other attempts."""
    storage_key = f"{root_id}/{lease.hex}/{name}"
    size, sha256 = files.save(storage_key, content)
    return WrittenArtifact(name, media_type, size, sha256, storage_key, role)


def record(job: Any, artifacts: Sequence[WrittenArtifact]) -> None:
    """Write the rows of a job that ends, in the caller's transaction.

    They replace those of an earlier attempt of the chain that have the same names.
    """
    if not artifacts:
        return
    Artifact.objects.filter(job_id=job.root_id, name__in=[each.name for each in artifacts]).delete()
    Artifact.objects.bulk_create(
        Artifact(
            job_id=job.root_id,
            organization_id=job.organization_id,
            name=each.name,
            media_type=each.media_type,
            size=each.size,
            sha256=each.sha256,
            storage_key=each.storage_key,
            role=each.role,
            created_by=job.requested_by,
            expires_at=expiry(),
        )
        for each in artifacts
    )


def expiry() -> Any:
    """Return when an artifact of now expires, as an expression for the database."""
    return Now() + timedelta(days=settings.ARTIFACTS_KEEP_DAYS)


def check_name(name: str, used: Sequence[WrittenArtifact]) -> None:
    """Check the name of an artifact of a job, which no other artifact of the attempt may have.

    Raises InvalidArtifactName.
    """
    if not re.fullmatch(NAME, name) or ".." in name:
        raise InvalidArtifactName(
            f"An artifact cannot have the name {name!r}. Use letters, digits, dots, hyphens and underscores."
        )
    if name in {each.name for each in used}:
        raise InvalidArtifactName(f"The job has an artifact with the name {name!r} already.")
