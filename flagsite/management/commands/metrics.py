"""Print the metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.metrics.api import exposition


class Command(OperatorCommand):
    help = (
        "Print the metrics of jobs, queues, workers and beat in the text format of Prometheus. GET /metrics also has "
        "the counts of requests, which only web servers have."
    )

    def answer(self, **options: Any) -> Answer:
        text = exposition().decode()
        document = {
            family.name: {
                "type": family.type,
                "help": family.documentation,
                "samples": [{"name": one.name, "labels": one.labels, "value": one.value} for one in family.samples],
            }
            for family in text_string_to_metric_families(text)
        }
        return Answer({"metrics": document}, text.splitlines())
