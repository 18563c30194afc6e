"""The output of the endpoints of statistics."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.statistics.selectors import ComputedStatistic
from flagsite.core import example_names as names
from jobs.batches.members import count_members
from jobs.batches.models import Batch, BatchOutcome
from jobs.batches.serializers import batch_url

COMPUTED = "2026-11-23T01:00:02.120000Z"
ADOPTION: dict[str, Any] = {
    "name": "adoption",
    "title": "Adoption by flag",
    "shows": "The organizations for which each flag is on, largest first.",
    "unit": "organizations",
    "computedAt": COMPUTED,
    "seconds": 0.31,
    "jobId": 41,
    "points": [{"label": names.FLAG, "value": 5270, "details": {"off": 0, "neverSet": 0}}],
}
BATCH = {"batchId": 7, "outcome": "PARTIAL", "ended": 10, "total": 10, "failed": 1, "batchUrl": "/v1/queue/batches/7"}
STARTED = BATCH | {"outcome": None, "ended": 0, "failed": 0}


class PointSerializer(serializers.Serializer[dict[str, Any]]):
    """A value of a statistic."""

    label = serializers.CharField()
    value = serializers.FloatField()
    details = serializers.DictField(help_text="Further figures, which differ from statistic to statistic.")


@extend_schema_serializer(examples=[OpenApiExample("Adoption", value=ADOPTION)])
class StatisticSerializer(serializers.Serializer[ComputedStatistic]):
    """A statistic with its latest figures."""

    name = serializers.CharField(source="figures.name")
    title = serializers.CharField(source="figures.title")
    shows = serializers.CharField(source="figures.shows")
    unit = serializers.CharField(source="figures.unit", help_text="What the values count.")
    computedAt = serializers.DateTimeField(
        source="latest.computed_at", allow_null=True, default=None, help_text="Null if it was never computed."
    )
    seconds = serializers.FloatField(source="latest.seconds", allow_null=True, default=None)
    jobId = serializers.IntegerField(source="latest.job_id", allow_null=True, default=None)
    points = PointSerializer(many=True)


class StatisticsBatchSerializer(serializers.Serializer[Batch]):
    """The batch that computes the statistics, or that has computed them last."""

    batchId = serializers.IntegerField(source="pk")
    outcome = serializers.SerializerMethodField(help_text="Null while it is open.")
    ended = serializers.SerializerMethodField(help_text="The statistics whose computation has ended.")
    total = serializers.IntegerField()
    failed = serializers.SerializerMethodField(help_text="The statistics whose computation failed.")
    batchUrl = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(BatchOutcome.choices, allow_null=True))
    def get_outcome(self, batch: Batch) -> str | None:
        return batch.outcome or None

    def get_ended(self, batch: Batch) -> int:
        return count_members([batch])[batch.pk].ended

    def get_failed(self, batch: Batch) -> int:
        return count_members([batch])[batch.pk].failed

    def get_batchUrl(self, batch: Batch) -> str:  # noqa: N802 - the wire's name
        return batch_url(batch)


@extend_schema_serializer(
    examples=[OpenApiExample("Statistics", value={"results": [ADOPTION], "batch": BATCH}, status_codes=[200])]
)
class StatisticsSerializer(serializers.Serializer[dict[str, Any]]):
    """All statistics, and the latest batch."""

    results = StatisticSerializer(many=True)
    batch = StatisticsBatchSerializer(allow_null=True, help_text="Null if the statistics were never computed.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Started", value=STARTED | {"deduplicated": False}, status_codes=[202]),
        OpenApiExample("Under way already", value=STARTED | {"deduplicated": True}, status_codes=[200]),
    ]
)
class StartedStatisticsSerializer(StatisticsBatchSerializer):
    """The answer of POST /v1/statistics. The context needs `deduplicated`."""

    deduplicated = serializers.SerializerMethodField(help_text="Whether the batch was open already.")

    def get_deduplicated(self, batch: Batch) -> bool:
        return bool(self.context["deduplicated"])
