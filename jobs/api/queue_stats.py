"""The endpoint with the figures of the queues, for programs such as an autoscaler."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.db.snapshot import snapshot
from jobs.api.queue_stats_serializers import AllQueueStatsSerializer, StatsFilters
from jobs.metrics.queue_statistics import queue_statistics
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role


class QueueStats(Endpoint):
    """The figures of the queues."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getQueueStats",
        summary="Read the figures of the queues",
        parameters=[StatsFilters],
        responses=AllQueueStatsSerializer,
        tags=["jobs"],
    )
    def get(self, request: Request) -> Response:
        """How many jobs of each queue wait, run and have ended, for a dashboard or an autoscaler.

        A bound access key may not do this.
        """
        hours = StatsFilters.read(request)["hours"]
        self.check_is_unbound("the queues")
        with snapshot():
            since, figures = queue_statistics(hours)
        return Response(AllQueueStatsSerializer({"hours": hours, "since": since, "results": figures}).data)
