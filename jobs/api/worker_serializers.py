"""The workers in JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from jobs.engine.worker_registry import STATES, WorkerNow

WORKER = {
    "name": "reports@worker-1",
    "host": "worker-1",
    "pid": 4711,
    "token": "5c2e91ab",
    "state": "alive",
    "queues": ["default", "propagation"],
    "concurrency": 4,
    "busy": 1,
    "jobIds": [7],
    "startedAt": "2026-11-23T06:00:02.104822Z",
    "seenAt": "2026-11-23T09:59:47.384019Z",
}


class WorkerSerializer(serializers.Serializer[WorkerNow]):
    """A worker with the jobs that it runs."""

    name = serializers.CharField(source="worker.name", help_text="The worker's name in Celery.")
    host = serializers.CharField(source="worker.host")
    pid = serializers.IntegerField(source="worker.pid")
    token = serializers.CharField(source="worker.token", help_text="The name of the worker on the jobs that it runs.")
    state = serializers.ChoiceField(STATES, help_text="`gone`: the worker has not reported for 20 seconds.")
    queues = serializers.ListField(child=serializers.CharField(), source="worker.queues")
    concurrency = serializers.IntegerField(source="worker.concurrency", help_text="Jobs that it can run at once.")
    busy = serializers.IntegerField(help_text="Jobs that it runs now.")
    jobIds = serializers.SerializerMethodField()
    startedAt = serializers.DateTimeField(source="worker.started_at")
    seenAt = serializers.DateTimeField(source="worker.seen_at")

    def get_jobIds(self, worker_now: WorkerNow) -> list[int]:  # noqa: N802 - the wire's name
        return [job.pk for job in worker_now.jobs]


@extend_schema_serializer(examples=[OpenApiExample("One worker", value={"results": [WORKER]})])
class WorkersSerializer(serializers.Serializer[dict[str, Any]]):
    """All workers."""

    results = WorkerSerializer(many=True)
