"""The endpoints that enqueue jobs and list the kinds of jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.enqueue_serializers import EnqueuedSerializer, EnqueueInput, KindsSerializer
from jobs.api.serializers import tracking_url
from jobs.engine.kinds import enqueueable_kinds
from jobs.operations.enqueue import enqueue_for
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent


class JobKinds(Endpoint):
    """The kinds of jobs that can be enqueued."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="listJobKinds", summary="Read the kinds of jobs", responses=KindsSerializer, tags=["jobs"]
    )
    def get(self, request: Request) -> Response:
        """The kinds that `POST /v1/queue/jobs` takes, each with its queue and the JSON schema of its arguments."""
        return Response(KindsSerializer({"results": enqueueable_kinds()}).data)


class EnqueueJob(Endpoint):
    """The entry of a job into a queue."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="enqueueJob",
        summary="Enqueue a job",
        request=EnqueueInput,
        responses={200: EnqueuedSerializer, 202: EnqueuedSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Enqueue a job of any kind that `GET /v1/queue/kinds` lists.

        A job with a `uniqueKey` that an open job has already is not created: the answer is 200 and names the open one.
        With `replace`, the open one gets what this request asks for, unless it has begun.
        A bound access key enqueues jobs for its own subtree only.
        """
        return self.enqueue(EnqueueInput.read(request))

    def enqueue(self, values: dict[str, Any]) -> Response:
        """Enqueue the job of a body, and return the answer. Raises the errors of `enqueue_for`."""
        within = values.pop("start_within", None)
        done = enqueue_for(
            self.caller,
            **values,
            reason=self.reason,
            start_within=timedelta(seconds=within) if within else None,
        )
        url = tracking_url(done.job.pk)
        code = status.HTTP_200_OK if done.is_deduplicated else status.HTTP_202_ACCEPTED
        return Response(EnqueuedSerializer(done).data, code, headers={"Location": url})
