"""The jobs' addresses."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.db.snapshot import snapshot
from jobs.api.serializers import (
    AttemptSerializer,
    CancelledSerializer,
    FailureSerializer,
    JobFilters,
    JobSerializer,
    ReasonInput,
    RetryStartedSerializer,
    tracking_url,
)
from jobs.engine.chains import chains_of, failures_of, job_for
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations import job_operations
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.access.organizations import find_visible_organization
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.models import Organization


class JobStatus(Endpoint):
    """How one job stands."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(operation_id="getJobStatus", summary="Follow a job", responses=JobSerializer, tags=["jobs"])
    def get(self, request: Request, job_id: int) -> Response:
        """The job's status, progress and error, and how its chain of retries stands."""
        with snapshot():  # else the chain might have ended since the attempt was read
            job = job_for(self.caller, job_id)
            chains = chains_of([job])
        return Response(JobSerializer(job, context={"chains": chains}).data)


class JobsOfOrganization(ListEndpoint):
    """The jobs that began at an organization."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listJobs",
        summary="List an organization's jobs",
        parameters=[JobFilters],
        responses=JobSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, organization_id: int) -> Response:
        """The organization's jobs, newest first."""
        wanted = self.filters(request, JobFilters)
        with snapshot():
            organization = find_visible_organization(self.caller, organization_id)
            jobs = Job.objects.filter(organization_id=organization.pk, **wanted)
            rows = self.rows(request, jobs.order_by("-id"))
            chains = chains_of(rows)
        return self.page(JobSerializer, rows, chains=chains)


class RetryJob(Endpoint):
    """A new round of attempts."""

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
        """Start a new round of attempts in the job's chain; after partial failure, only for what failed."""
        wanted = ReasonInput.read(request)
        job = job_for(self.caller, job_id)
        again = job_operations.retry(job_id=job.pk, by=self.caller.name, **wanted)
        answer = {
            "originalJobId": job.pk,
            "retryJobId": again.pk,
            "message": "Job retry initiated successfully",
            "trackingUrl": tracking_url(again.pk),
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(again.pk)})


class CancelJob(Endpoint):
    """The end of a job before its time."""

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
        """Cancel what is open of the job's chain: 200 when it waited, 202 when it runs and stops at its next chunk."""
        wanted = ReasonInput.read(request)
        job = job_for(self.caller, job_id)
        concerned = job_operations.cancel(job_id=job.pk, by=self.caller.name, **wanted)
        at_once = concerned.status == Status.CANCELLED
        answer = {
            "jobId": concerned.pk,
            "status": concerned.status,
            "message": "Job cancelled" if at_once else "Cancellation requested; the job stops at its next chunk",
            "trackingUrl": tracking_url(concerned.pk),
        }
        code = status.HTTP_200_OK if at_once else status.HTTP_202_ACCEPTED
        return Response(answer, status=code, headers={"Location": tracking_url(concerned.pk)})


class RetryChain(ListEndpoint):
    """All attempts of a chain."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getJobRetryChain",
        summary="List every attempt of a job",
        responses=AttemptSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The whole chain, oldest first, from any of its jobs."""
        self.filters(request)
        attempts = Job.objects.of_chain(job_for(self.caller, job_id).root_id)
        return self.page(AttemptSerializer, self.rows(request, attempts))


class JobFailures(ListEndpoint):
    """What a job could not do."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listJobFailures",
        summary="List the organizations that failed in a job",
        responses=FailureSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, job_id: int) -> Response:
        """The organizations that failed in this attempt, by id, with the error of each."""
        self.filters(request)
        failures = failures_of(self.caller, job_for(self.caller, job_id))
        rows = self.rows(request, failures.order_by("organization_id"))
        organizations = Organization.objects.in_bulk([failure.organization_id for failure in rows])
        return self.page(FailureSerializer, rows, organizations=organizations)
