"""The endpoints of jobs."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.api.serializers import (
    AttemptSerializer,
    CancelledSerializer,
    FailureSerializer,
    JobFilters,
    JobSerializer,
    RetryStartedSerializer,
    tracking_url,
)
from jobs.engine.chains import attempts, failures_of, job_for, tracked
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations import job_operations
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.models import Organization
from orgs.tree.references import Reference


class JobStatus(Endpoint):
    """The status of a job."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(operation_id="getJobStatus", summary="Follow a job", responses=JobSerializer, tags=["jobs"])
    def get(self, request: Request, job_id: int) -> Response:
        """How the work of the job stands, with its progress and error; `attempt` is this attempt by itself.

        Poll until `final` is true.
        """
        return self.standing(job_id)

    def standing(self, job_id: int) -> Response:
        """Return the answer about the job. Raises JobNotFound."""
        with snapshot():  # otherwise the chain could end between the two reads
            (job,) = tracked([job_for(self.caller, job_id)])
        return Response(JobSerializer(job).data)


class JobsOfOrganization(ListEndpoint):
    """The jobs of an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listJobs",
        summary="List an organization's jobs",
        parameters=[JobFilters],
        responses=JobSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, organization: Reference) -> Response:
        """The organization's jobs, newest first."""
        filters = self.filters(request, JobFilters)
        with snapshot():
            found = find_visible_organization(self.caller, organization)
            rows = self.rows(request, Job.objects.filter(organization_id=found.pk, **filters).order_by("-id"))
            jobs = tracked(rows)
        return self.page(JobSerializer, jobs)


class RetryJob(Endpoint):
    """The start of a new round of attempts."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="retryJob",
        summary="Retry a job",
        request=ReasonInput,
        responses={202: RetryStartedSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, job_id: int) -> Response:
        """Start a new round of attempts in the job's chain.

        If some organizations failed, the new round covers only the organizations that are left.
        """
        ReasonInput.read(request)
        job = job_for(self.caller, job_id)
        again = job_operations.retry(job_id=job.pk, by=self.caller.name, reason=self.reason)
        answer = {
            "originalJobId": job.pk,
            "retryJobId": again.pk,
            "message": "Job retry initiated successfully",
            "trackingUrl": tracking_url(again.pk),
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(again.pk)})


class CancelJob(Endpoint):
    """The cancellation of a job."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="cancelJob",
        summary="Cancel a job",
        request=ReasonInput,
        responses={200: CancelledSerializer, 202: CancelledSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, job_id: int) -> Response:
        """Cancel the open attempt of the job's chain.

        The status is 200 if the attempt was waiting. It is 202 if the attempt runs, which stops at its next chunk.
        """
        return self.cancel(request, job_id)

    def cancel(self, request: Request, job_id: int) -> Response:
        """Cancel the job of the request, and return the answer. Raises JobNotFound, NotCancellable."""
        ReasonInput.read(request)
        job = job_for(self.caller, job_id)
        attempt = job_operations.cancel(job_id=job.pk, by=self.caller.name, reason=self.reason)
        is_cancelled = attempt.status == Status.CANCELLED
        answer = {
            "jobId": attempt.pk,
            "status": attempt.status,
            "message": "Job cancelled" if is_cancelled else "Cancellation requested; the job stops at its next chunk",
            "trackingUrl": tracking_url(attempt.pk),
        }
        code = status.HTTP_200_OK if is_cancelled else status.HTTP_202_ACCEPTED
        return Response(answer, status=code, headers={"Location": tracking_url(attempt.pk)})


class RetryChain(Endpoint):
    """All attempts of a chain."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getJobRetryChain",
        summary="List every attempt of a job",
        responses=AttemptSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The whole chain as one array, oldest attempt first. The id of any attempt finds the chain."""
        QuerySerializer.read(request)
        chain = attempts(job_for(self.caller, job_id))
        return Response(AttemptSerializer(chain, many=True).data)


class JobFailures(ListEndpoint):
    """The organizations that failed in a job."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listJobFailures",
        summary="List the organizations that failed in a job",
        responses=FailureSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The organizations that failed in this attempt, in the order of their ids, each with its error."""
        self.filters(request)
        failures = failures_of(self.caller, job_for(self.caller, job_id))
        rows = self.rows(request, failures.order_by("organization_id"))
        organizations = Organization.objects.in_bulk([failure.organization_id for failure in rows])
        return self.page(FailureSerializer, rows, organizations=organizations)
