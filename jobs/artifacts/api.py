"""The endpoints of artifacts: upload a file for a job, and download what a job has made."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, take_reason_from_header
from jobs.artifacts import uploads
from jobs.artifacts.download import download
from jobs.artifacts.models import Artifact
from jobs.artifacts.serializers import UPLOADED, ArtifactSerializer, UploadedArtifactSerializer, UploadQuery
from jobs.artifacts.upload_parsers import FILE, FORM, PARSERS_OF_ARTIFACTS, RAW_TYPES, TakesFiles, upload_of
from jobs.engine.chains import job_for
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

USERS = "targetingKey\nuser-17\nuser-18\n"
DOWNLOAD_ROLE = Role.OPERATOR
"""The role that reads the content of artifacts, which may have the data of many organizations and users."""


class Artifacts(TakesFiles, ListEndpoint):
    """The artifacts that a caller may see, and the upload of a file for a job."""

    roles: ClassVar = {"GET": DOWNLOAD_ROLE, "POST": Role.OPERATOR}
    parser_classes: Any = PARSERS_OF_ARTIFACTS

    @extend_schema(
        operation_id="listArtifacts",
        summary="List artifacts",
        responses=ArtifactSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """The artifacts of all jobs and the uploaded files, newest first, until they expire."""
        self.filters(request)
        return self.page(ArtifactSerializer, self.rows(request, uploads.artifacts_of(self.caller).order_by("-id")))

    @extend_schema(
        operation_id="uploadArtifact",
        summary="Upload a file for a job",
        parameters=[UploadQuery],
        request={**dict.fromkeys(RAW_TYPES, FILE), "multipart/form-data": FORM},
        responses={201: UploadedArtifactSerializer},
        examples=[
            OpenApiExample("Two users", value=USERS, request_only=True, media_type="text/csv"),
            OpenApiExample("An uploaded file", value=UPLOADED, response_only=True, status_codes=["201"]),
        ],
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Store a file that a job shall read. The arguments of the job name the `id` of the answer as `artifactId`.

        The file has at most MAX_IMPORT_BYTES. Flagsite deletes it ARTIFACTS_KEEP_DAYS later, but not while a job that
        names it waits or runs.
        """
        query = UploadQuery.read(request)
        take_reason_from_header(request)
        sent = upload_of(request)
        artifact = uploads.upload(
            self.caller,
            sent.content,
            name=query.get("name") or sent.name or "upload",
            media_type=sent.media_type,
            reason=self.reason,
        )
        return Response(UploadedArtifactSerializer(artifact).data, status=status.HTTP_201_CREATED)


class ArtifactsOfJob(Endpoint):
    """The artifacts of a job."""

    roles: ClassVar = {"GET": DOWNLOAD_ROLE}

    @extend_schema(
        operation_id="listArtifactsOfJob",
        summary="List the artifacts of a job",
        responses=ArtifactSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The files that the chain of the job has made, in the order of their names, as one array."""
        QuerySerializer.read(request)
        found = Artifact.objects.current().filter(job_id=job_for(self.caller, job_id).root_id).order_by("name")
        return Response(ArtifactSerializer(found, many=True).data)


class OneArtifact(Endpoint):
    """The content of an artifact."""

    roles: ClassVar = {"GET": DOWNLOAD_ROLE}

    @extend_schema(
        operation_id="downloadArtifact",
        summary="Download an artifact of a job",
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, description="The file."),
            302: OpenApiResponse(description="The file is at the address in Location for a minute."),
            304: OpenApiResponse(description="The client has this content already."),
        },
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int, name: str) -> Any:
        """The file, with the SHA-256 of its content as ETag. With S3, the answer leads to the file."""
        QuerySerializer.read(request)
        return download(request, uploads.find_artifact(self.caller, job_id, name))
