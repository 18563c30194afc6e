"""Artifacts in the answers of the API."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer
from jobs.artifacts.models import LONGEST_NAME, Artifact

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
REPORT = {
    "id": names.REPORT_ARTIFACT_ID,
    "name": names.REPORT_ARTIFACT,
    "mediaType": "text/csv",
    "bytes": 87,
    "sha256": SHA256,
    "createdAt": "2026-11-23T09:59:48.765712Z",
    "expiresAt": "2026-11-30T09:59:48.765712Z",
    "url": f"/v1/queue/jobs/{names.CHECKED_IMPORT_ID}/artifacts/{names.REPORT_ARTIFACT}",
}
UPLOADED = REPORT | {"id": names.UPLOADED_ARTIFACT_ID, "name": "users.csv", "url": None}


@extend_schema_serializer(examples=[OpenApiExample("An artifact of a job", value=REPORT)])
class ArtifactSerializer(serializers.Serializer[Artifact]):
    """An artifact: a file that a job has made, or that somebody has uploaded for a job."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    mediaType = serializers.CharField(source="media_type")
    bytes = serializers.IntegerField(source="size")
    sha256 = serializers.CharField(help_text="Of the content, in hexadecimal digits.")
    createdAt = serializers.DateTimeField(source="created_at")
    expiresAt = serializers.DateTimeField(source="expires_at", help_text="Flagsite deletes the file after that.")
    url = serializers.SerializerMethodField(help_text="Where to download it; null for an uploaded file.")

    def get_url(self, artifact: Artifact) -> str | None:
        return artifact_url(artifact)


@extend_schema_serializer(examples=[OpenApiExample("An uploaded file", value=UPLOADED, status_codes=[201])])
class UploadedArtifactSerializer(ArtifactSerializer):
    """The artifact of an uploaded file."""


class UploadQuery(QuerySerializer):
    """The query of POST /v1/queue/artifacts."""

    name = serializers.CharField(
        required=False,
        max_length=LONGEST_NAME,
        help_text="The name of the file, for people, if it is the whole body. A form has a name for its file already.",
    )


def artifact_url(artifact: Artifact) -> str | None:
    """Return the path at which an artifact of a job can be downloaded."""
    if artifact.job_id is None:
        return None
    return reverse("artifact", args=[artifact.job_id, artifact.name])


def artifacts_document(artifacts: Any) -> list[dict[str, Any]]:
    """Return the artifacts as JSON."""
    return [dict(ArtifactSerializer(artifact).data) for artifact in artifacts]
