"""The endpoints of the operations on many jobs, and of the workers."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.db.snapshot import snapshot
from jobs.api.operation_serializers import (
    CleanUpInput,
    CleanUpSerializer,
    RetryFailedInput,
    RetryFailedSerializer,
)
from jobs.api.serializers import tracking_url
from jobs.api.worker_serializers import WorkersSerializer
from jobs.engine import worker_registry
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.operations.retry_failed import retry_failed_in_request
from jobs.operations.selection import Selection
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.idempotency.stored_answers import idempotent


class RetryFailedJobs(Endpoint):
    """The retry of all failed jobs."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="retryFailedJobs",
        summary="Retry all failed jobs",
        request=RetryFailedInput,
        responses={200: RetryFailedSerializer, 202: RetryFailedSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a new round of attempts in each chain that FAILED, or that COMPLETED with organizations that failed.

        A bound access key retries the jobs of its subtree. For more than 200 chains, the status is 202, and a job of
        its own retries them.
        """
        values = RetryFailedInput.read(request)
        is_dry_run, organization = values.pop("dry_run"), values.pop("organization", self.caller.organization_id)
        top = find_visible_organization(self.caller, organization) if organization else None
        selection = Selection(organization=top, **values)
        selection.check()
        if is_dry_run:
            found = selection.failed().count()
            return Response(RetryFailedSerializer({"dry_run": True, "would_retry": found}).data)
        done = retry_failed_in_request(selection, by=self.caller.name, reason=self.reason)
        if isinstance(done, Job):
            answer = RetryFailedSerializer({"dry_run": False, "job": done}).data
            return Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(done.pk)})
        return Response(RetryFailedSerializer({"dry_run": False, "result": done}).data)


class CleanUpJobs(Endpoint):
    """The deletion of old jobs."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="cleanUpJobs",
        summary="Delete old jobs",
        request=CleanUpInput,
        responses={200: CleanUpSerializer, 202: CleanUpSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Start the job that deletes what ended long ago, or with `dryRun` only count it.

        COMPLETED and CANCELLED chains are old after JOBS_KEEP_COMPLETED_DAYS, and FAILED chains after
        JOBS_KEEP_FAILED_DAYS. `only` names other rows too, such as sessions. If the same clean-up is open already, the
        answer names that one. A bound access key may not do this.
        """
        self.check_is_unbound("the clean-up of jobs")
        values = CleanUpInput.read(request)
        is_dry_run, choice = values.pop("dry_run"), cleanup.Choice(tuple(values["only"]), values["days"])
        old = cleanup.old_jobs(choice)
        if is_dry_run:
            return Response(CleanUpSerializer({"dry_run": True, "old": old, "job": None}).data)
        job = cleanup.request(by=self.caller.name, correlation_id=self.correlation_id, choice=choice)
        answer = CleanUpSerializer({"dry_run": False, "old": old, "job": job}).data
        return Response(answer, status.HTTP_202_ACCEPTED, headers={"Location": tracking_url(job.pk)})


class Workers(Endpoint):
    """All workers."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(operation_id="listWorkers", summary="Read the workers", responses=WorkersSerializer, tags=["jobs"])
    def get(self, request: Request) -> Response:
        """The workers of the last day with the jobs that they run, those that are alive first.

        A bound access key may not do this.
        """
        return self.all_workers()

    def all_workers(self) -> Response:
        """Return the answer about the workers. Raises OutsideOfYourSubtree."""
        self.check_is_unbound("the workers")
        with snapshot():
            workers = worker_registry.all_workers()
        return Response(WorkersSerializer({"results": workers}).data)
