"""The endpoint GET /metrics, which Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.request import Request

from flags.states.drift import COMPARED, known_drift
from flagsite import beat
from flagsite.health import version
from flagsite.health.scraper_access import ScraperEndpoint
from flagsite.metrics import job_metrics, requests
from jobs.metrics import engine_metrics, probe_job
from orgs.access.models import Role

log = structlog.get_logger(__name__)
EXAMPLE = """# HELP flagsite_queue_jobs Open jobs by state: due, later (waiting for a retry), running.
# TYPE flagsite_queue_jobs gauge
flagsite_queue_jobs{queue="propagation",state="due"} 3.0
"""


class MetricsView(ScraperEndpoint):
    """GET /metrics: all metrics of this installation."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getMetrics",
        summary="Metrics for Prometheus",
        responses={(200, "text/plain"): str},
        examples=[OpenApiExample("some lines", value=EXAMPLE, media_type="text/plain", response_only=True)],
        tags=["operation"],
    )
    def get(self, request: Request) -> HttpResponse:
        """All metrics in Prometheus' text format, for METRICS_TOKEN or an access key without an organization.

        While the database is away, `flagsite_database_up` is 0, and the only other metrics are the requests of this
        web server.
        """
        self.check_sees_everything()
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_DatabaseCollector())
    return generate_latest(registry) + generate_latest(requests.registry())


class _DatabaseCollector(Collector):
    """Reads the metrics from the database at each scrape."""

    def collect(self) -> Iterator[Metric]:
        about = version.about()
        yield InfoMetricFamily("flagsite_build", "The version and the commit of Flagsite.", value=about)
        metrics: list[Metric] = []
        try:
            figures = engine_metrics.read()
            metrics = [*job_metrics.metrics(figures), *_drift(figures.counters), *_ages()]
        except (OperationalError, InterfaceError) as error:
            log.warning("metrics_without_database", error=str(error))
        yield GaugeMetricFamily("flagsite_database_up", "Whether the database answers.", value=int(bool(metrics)))
        yield from metrics


def _drift(counts: Mapping[str, int]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "flagsite_flag_state_drift", "Flag states that are not what the settings say, of those compared at random.",
        value=known_drift(),
    )  # fmt: skip
    yield CounterMetricFamily(
        "flagsite_flag_states_compared", "Flag states that were compared with the settings at random.",
        value=counts.get(COMPARED, 0),
    )  # fmt: skip


def _ages() -> Iterator[Metric]:
    tick_age, probe_age = beat.last_tick_age(), probe_job.seconds_since_probe()
    if tick_age is not None:
        yield GaugeMetricFamily(
            "flagsite_beat_last_tick_seconds", "Seconds since beat last sent a task.", value=tick_age
        )
    if probe_age is not None:
        yield GaugeMetricFamily("flagsite_canary_seconds", "Seconds since a probe job last completed.", value=probe_age)
