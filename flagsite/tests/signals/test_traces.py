"""Traces: from the request over its job to the SQL of either, and nothing at all while they are off."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from flagsite.development.servers.server_commands import web_command
from flagsite.tests.crash.installation import CHECKOUT, Installation, eventually, free_port
from flagsite.tests.signals.collector import Span, collecting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_request_job_and_sql_are_one_trace(observed: Installation) -> None:
    observed.plant_tree(2, 5)
    with collecting() as collector:
        observed.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        port = free_port()
        observed.run(*web_command(port))
        observed.start_worker(concurrency=1)
        eventually(lambda: _answers(port), within=60)
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {
            "Authorization": f"Bearer {observed.key}",
            "traceparent": f"00-{trace}-b7ad6b7169203331-01",  # as sent by a client that traces too
            "X-Request-ID": "traced",
        }
        answer = httpx.post(f"http://127.0.0.1:{port}/1/checkout/true", headers=headers, timeout=30)
        job_id = answer.json()["jobId"]
        eventually(lambda: observed.chain_ended(job_id), within=60)

        def of_trace() -> dict[str, Span]:
            return {span.id: span for span in collector.spans if span.trace == trace}

        def has_arrived() -> bool:
            """Whether the spans of the job and of the request have come, each from its process."""
            spans = of_trace()
            return any(span.name == "job propagation" and span.parent in spans for span in spans.values())

        eventually(has_arrived, within=20)
        spans = of_trace()
    (job,) = (span for span in spans.values() if span.name == "job propagation")
    assert (job.service, job.attributes["flagsite.job_id"]) == ("flagsite-worker", str(job_id))
    assert job.attributes["flagsite.correlation_id"] == "traced"
    request = spans[job.parent]
    assert (request.service, request.parent) == ("flagsite-web", "b7ad6b7169203331")
    assert "POST" in request.name
    for above, statement in ((job, "jobs_job"), (request, "INSERT")):
        sql = [span.attributes.get("db.statement", "") for span in spans.values() if span.parent == above.id]
        assert any(statement in text for text in sql), sql
    assert not any(observed.key in str(span) for span in spans.values())
    assert observed.sql("SELECT trace_context LIKE '00-' || %s || '%%' FROM jobs_job WHERE id = %s", [trace, job_id]) \
        == [(True,)]  # fmt: skip


def test_nothing_of_it_is_imported_while_no_exporter_is_configured(observed: Installation) -> None:
    program = """
import sys, flagsite.wsgi
from flagsite import tracing
from flagsite.celery import app
app.loader.import_default_modules()
tracing.start("worker")
ours = ("opentelemetry.exporter", "opentelemetry.instrumentation", "opentelemetry.sdk.trace")
print([name for name in sys.modules if name.startswith(ours)])  # redis imports other parts where it finds them
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=observed.environment, check=True, stdout=subprocess.PIPE
    )
    assert done.stdout.decode().strip().endswith("[]")


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
