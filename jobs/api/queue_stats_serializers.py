"""The figures of the queues in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core.api.input import QuerySerializer
from jobs.metrics.queue_statistics import MAX_HOURS, QueueStatistics

STATS = {
    "name": "default", "waiting": 12, "delayed": 1, "active": 4, "completed": 310, "failed": 2, "paused": False,
    "oldestWaitSeconds": 21.5, "wanted": 16, "workers": 2,
}  # fmt: skip


class StatsFilters(QuerySerializer):
    """The query of GET /v1/queue/stats."""

    hours = serializers.IntegerField(
        default=24,
        min_value=1,
        max_value=MAX_HOURS,
        help_text="The window of completed and failed: so many clock hours, the current one included.",
    )


class QueueStatsSerializer(serializers.Serializer[QueueStatistics]):
    """The figures of a queue."""

    name = serializers.CharField(source="status.queue.name")
    waiting = serializers.IntegerField(source="status.due", help_text="Jobs that may start now.")
    delayed = serializers.IntegerField(source="status.later", help_text="Jobs that wait for a later time.")
    active = serializers.IntegerField(source="status.running")
    completed = serializers.IntegerField(help_text="Jobs that COMPLETED in the window; a job and its retries are one.")
    failed = serializers.IntegerField(help_text="Jobs that FAILED for good in the window.")
    paused = serializers.SerializerMethodField()
    oldestWaitSeconds = serializers.FloatField(
        source="oldest_wait_seconds", allow_null=True, help_text="How long the oldest job that may start has waited."
    )
    wanted = serializers.IntegerField(
        source="status.wanted",
        help_text="waiting + active: how many places in workers the jobs need now. Scale on this, not on waiting, "
        "which is 0 while workers are busy.",
    )
    workers = serializers.IntegerField(source="status.workers", help_text="Workers that serve the queue.")

    def get_paused(self, figures: QueueStatistics) -> bool:
        return figures.status.queue.paused_at is not None


@extend_schema_serializer(
    examples=[OpenApiExample("One queue", value={"hours": 24, "since": "2026-11-22T11:00:00Z", "results": [STATS]})]
)
class AllQueueStatsSerializer(serializers.Serializer[dict[str, Any]]):
    """The figures of all queues."""

    hours = serializers.IntegerField(help_text="The window of completed and failed.")
    since = serializers.DateTimeField(help_text="When the window begins.")
    results = QueueStatsSerializer(many=True)
