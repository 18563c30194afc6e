"""The endpoints of statistics."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flags.statistics import computation
from flags.statistics.figures import STATISTICS
from flags.statistics.selectors import all_statistics, find_statistic
from flags.statistics.serializers import StartedStatisticsSerializer, StatisticSerializer, StatisticsSerializer
from flagsite.core.api.input import QuerySerializer, ReasonInput
from flagsite.core.db.snapshot import snapshot
from jobs.batches.serializers import batch_url
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent

THE_STATISTICS = "the statistics, which are about all organizations"
NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, enum=list(STATISTICS))


class AllStatistics(Endpoint):
    """All statistics."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.OPERATOR}

    @extend_schema(
        operation_id="readStatistics", summary="Read all statistics", responses=StatisticsSerializer, tags=["flags"]
    )
    def get(self, request: Request) -> Response:
        """The latest figures of each statistic with their time, and the batch that computes them.

        A bound access key may not do this.
        """
        self.check_is_unbound(THE_STATISTICS)
        QuerySerializer.read(request)
        with snapshot():
            found = {"results": all_statistics(), "batch": computation.latest_batch()}
            return Response(StatisticsSerializer(found).data)

    @extend_schema(
        operation_id="computeStatistics",
        summary="Compute all statistics now",
        request=ReasonInput,
        responses={200: StartedStatisticsSerializer, 202: StartedStatisticsSerializer},
        tags=["flags"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a batch of jobs, one for each statistic. If one is open already, the answer is 200 and names that one.

        `batchUrl` shows the progress. A bound access key may not do this.
        """
        self.check_is_unbound(THE_STATISTICS)
        ReasonInput.read(request)
        started = computation.start(by=self.caller.name, reason=self.reason)
        code = status.HTTP_200_OK if started.is_deduplicated else status.HTTP_202_ACCEPTED
        context = {"deduplicated": started.is_deduplicated}
        answer = StartedStatisticsSerializer(started.batch, context=context).data
        return Response(answer, code, headers={"Location": batch_url(started.batch)})


class OneStatistic(Endpoint):
    """One statistic."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="readStatistic",
        summary="Read one statistic",
        parameters=[NAME],
        responses=StatisticSerializer,
        tags=["flags"],
    )
    def get(self, request: Request, name: str) -> Response:
        """The latest figures of the statistic with their time. A bound access key may not do this."""
        self.check_is_unbound(THE_STATISTICS)
        QuerySerializer.read(request)
        return Response(StatisticSerializer(find_statistic(name)).data)
