"""OpenTelemetry traces: a request, the job that it creates and the SQL of both are in one trace.

Tracing is off, and its libraries are not imported, unless OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT names an exporter. The OpenTelemetry SDK reads the other OTEL_… variables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flagsite.health import version
from jobs.engine import tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
HEADER = "traceparent"
_flushers: list[Callable[[], object]] = []


def is_configured() -> bool:
    """Whether an exporter is configured."""
    return any(os.environ.get(name) for name in ENDPOINTS) and os.environ.get("OTEL_SDK_DISABLED", "") != "true"


def start(part: str) -> None:
    """Start tracing in this process, if it is configured; `part` is "web", "worker" or "beat".

    Call this after a fork, because a thread sends the spans. The settings must be loaded, the middleware not yet.
    """
    if not is_configured() or _flushers:
        return
    from opentelemetry import trace  # noqa: PLC0415 - slow; only if tracing is on
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or f"flagsite-{part}"
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version.VERSION}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument(skip_dep_check=True)
    if part == "web":
        _trace_requests()
    tracing.switch_on(current=_current, start=_span)
    _flushers.append(provider.force_flush)


def flush() -> None:
    """Send the remaining spans, in a process that ends without Python's exit handlers."""
    for send_spans in _flushers:
        send_spans()


def _trace_requests() -> None:
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415

    os.environ.setdefault("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "livez,readyz,version,metrics")
    DjangoInstrumentor().instrument()


def _current() -> str:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER, "")


@contextmanager
def _span(name: str, context: str, attributes: Mapping[str, Any]) -> Iterator[None]:
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    parent = TraceContextTextMapPropagator().extract({HEADER: context}) if context else None
    known = {key: value for key, value in attributes.items() if value is not None}
    tracer = trace.get_tracer("flagsite")
    with tracer.start_as_current_span(name, parent, kind=trace.SpanKind.CONSUMER, attributes=known):
        yield
