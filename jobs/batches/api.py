"""The endpoints of batches."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.batches import operations
from jobs.batches.members import count_members, first_jobs
from jobs.batches.models import Batch
from jobs.batches.operations import BatchOperation, batch_for, batches_of
from jobs.batches.requests import add_for, create_for
from jobs.batches.serializers import (
    OPEN,
    AddMembersInput,
    BatchFilters,
    BatchInput,
    BatchOperationSerializer,
    BatchSerializer,
    CreatedBatchSerializer,
    MemberFilters,
    MemberSerializer,
    batch_url,
)
from jobs.engine.chains import jobs_of, tracked
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent


class Batches(ListEndpoint):
    """The batches."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR}
    rows_outlive_organizations = True

    @extend_schema(
        operation_id="listBatches",
        summary="List the batches",
        parameters=[BatchFilters],
        responses=BatchSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """The batches, newest first, each with the counts of its members."""
        filters = self.filters(request, BatchFilters)
        if filters.get("outcome") == OPEN:
            filters["outcome"] = ""
        with snapshot():
            rows = self.rows(request, batches_of(self.caller).filter(**filters).order_by("-id"))
            counts = count_members(rows)
        return self.page(BatchSerializer, rows, counts=counts)

    @extend_schema(
        operation_id="createBatch",
        summary="Create a batch",
        request=BatchInput,
        responses={200: CreatedBatchSerializer, 202: CreatedBatchSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Create a batch: many jobs as one piece of work, with one outcome.

        A batch with a `key` that an open batch of the organization has already is not created: the answer is 200 and
        names the open one. A bound access key creates batches for its own subtree only.
        """
        created = create_for(self.caller, BatchInput.read(request), reason=self.reason)
        code = status.HTTP_200_OK if created.is_deduplicated else status.HTTP_202_ACCEPTED
        return _answer(CreatedBatchSerializer, created.batch, code, deduplicated=created.is_deduplicated)


class OneBatch(Endpoint):
    """A batch."""

    roles: ClassVar = {"GET": Role.READER, "DELETE": Role.OPERATOR}

    @extend_schema(operation_id="getBatch", summary="Follow a batch", responses=BatchSerializer, tags=["jobs"])
    def get(self, request: Request, batch_id: int) -> Response:
        """The outcome of the batch, or its progress: how many members stand in each way. Poll until `final` is true."""
        QuerySerializer.read(request)
        return _answer(BatchSerializer, batch_for(self.caller, batch_id))

    @extend_schema(
        operation_id="cancelBatch",
        summary="Cancel a batch",
        request=ReasonInput,
        responses={200: BatchOperationSerializer, 202: BatchOperationSerializer},
        tags=["jobs"],
    )
    @idempotent
    def delete(self, request: Request, batch_id: int) -> Response:
        """Cancel each open member: a waiting one at once, a running one at its next chunk.

        The status is 200 if the batch has ended thereby, and 202 if a member still runs.
        """
        ReasonInput.read(request)
        batch = batch_for(self.caller, batch_id)
        return _done(operations.cancel(batch.pk, by=self.caller.name, reason=self.reason))


class RetryBatch(Endpoint):
    """The retry of the members that failed."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="retryBatch",
        summary="Retry what failed in a batch",
        request=ReasonInput,
        responses={202: BatchOperationSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, batch_id: int) -> Response:
        """Start a new round of attempts for each member that failed.

        A batch that has ended is open again afterwards, with the next generation. The job of `onFinish` follows its
        next end too.
        """
        ReasonInput.read(request)
        batch = batch_for(self.caller, batch_id)
        return _done(operations.retry_failed_members(batch.pk, by=self.caller.name, reason=self.reason))


class BatchMembers(ListEndpoint):
    """The members of a batch."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR}

    @extend_schema(
        operation_id="listBatchMembers",
        summary="List the members of a batch",
        parameters=[MemberFilters],
        responses=MemberSerializer(many=True),
        tags=["jobs"],
    )
    def get(self, request: Request, batch_id: int) -> Response:
        """The members in the order of their creation, each with its outcome, its error and its result."""
        filters = self.filters(request, MemberFilters)
        batch = batch_for(self.caller, batch_id)
        with snapshot():
            visible = first_jobs(batch, jobs_of(self.caller)).filter(**filters)
            members = tracked(self.rows(request, visible))
        return self.page(MemberSerializer, members)

    @extend_schema(
        operation_id="addBatchMembers",
        summary="Add members to a batch",
        request=AddMembersInput,
        responses={202: BatchSerializer},
        tags=["jobs"],
    )
    @idempotent
    def post(self, request: Request, batch_id: int) -> Response:
        """Add members to a batch that has not ended."""
        batch = batch_for(self.caller, batch_id)
        values = AddMembersInput.read(request)
        batch = add_for(self.caller, batch.pk, values, reason=self.reason)
        return _answer(BatchSerializer, batch, status.HTTP_202_ACCEPTED)


def _done(done: BatchOperation) -> Response:
    code = status.HTTP_202_ACCEPTED if done.batch.is_open else status.HTTP_200_OK
    return _answer(BatchOperationSerializer, done.batch, code, done=done)


def _answer(serializer: type[BatchSerializer], batch: Batch, code: int = 200, **context: Any) -> Response:
    context |= {"counts": count_members([batch])}
    headers = {"Location": batch_url(batch)} if code == status.HTTP_202_ACCEPTED else None
    return Response(serializer(batch, context=context).data, code, headers=headers)
