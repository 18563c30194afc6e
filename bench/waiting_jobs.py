"""What an enqueue and a claim cost with many waiting jobs, and what the limits of a queue add to a claim."""

from __future__ import annotations

import json

from bench.installation import Installation
from bench.report import Result

CALLS = 300
MAX_GROWTH = 1.5
MEASURE = """
import django, json, statistics, time; django.setup()
from django.db import transaction
from bench.empty_kind import KIND
from flagsite.core import actor
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Queue

def seconds(step):
    step()
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return times

def enqueue():
    with transaction.atomic():
        lifecycle.create(kind=KIND, priority=-1)

def claim():
    job = claiming.claim(queue="default", worker="bench")
    lifecycle.finish(job_id=job.pk, lease=job.lease_token)

def limits(**settings):
    Queue.objects.filter(name="default").update(**settings)

with actor.acting("worker", actor=actor.SYSTEM):
    figures = {"enqueue": seconds(enqueue), "claim": seconds(claim)}
    limits(concurrency=100, rate_allowed=1_000_000, rate_seconds=1, is_fair=FAIR)
    [enqueue() for _ in range(CALLS + 1)]
    figures["limited claim"] = seconds(claim)
    limits(concurrency=None, rate_allowed=None, rate_seconds=60, is_fair=False)
print(json.dumps({name: statistics.quantiles(times, n=100) for name, times in figures.items()}))
"""
FILL = """
INSERT INTO jobs_job (kind, queue, priority) SELECT 'nothing', 'default', 0 FROM generate_series(1, %s)
"""


def waiting_jobs(installation: Installation, rows: int) -> list[Result]:
    """Measure enqueue and claim with no waiting jobs and with `rows` of them, and claims with limits."""
    installation.clear()
    few = _measure(installation, fair=True)
    installation.sql(FILL, [rows])
    installation.sql("VACUUM (ANALYZE) jobs_job")
    many = _measure(installation, fair=False)
    installation.clear()
    results = [_result(f"{name}, {rows:,} jobs wait", many[name], few[name]) for name in ("enqueue", "claim")]
    return [
        *results,
        _result("a claim in a queue with concurrency, rate and fairness", few["limited claim"], few["claim"]),
    ]


def _measure(installation: Installation, *, fair: bool) -> dict[str, list[float]]:
    program = f"CALLS, FAIR = {CALLS}, {fair}\n{MEASURE}"
    return dict(json.loads(installation.python(program).splitlines()[-1]))


def _result(what: str, ours: list[float], before: list[float]) -> Result:
    ratio = ours[49] / before[49]
    return Result(
        what, f"p50 {ours[49] * 1000:.1f}, p99 {ours[98] * 1000:.1f} ms",
        f"p50 {before[49] * 1000:.1f}, p99 {before[98] * 1000:.1f} ms", ratio, f"≤ {MAX_GROWTH}", ratio <= MAX_GROWTH,
    )  # fmt: skip
