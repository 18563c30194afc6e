"""Dashboard, alert rules and the table of events speak of what there is."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from flagsite.core.retry import decorators
from flagsite.metrics import job_metrics, requests
from jobs.counting.hourly_metrics import BOUNDS
from jobs.metrics.engine_metrics import (
    AttemptCount,
    DeliveriesNow,
    EndedAttempts,
    EngineMetrics,
    OrganizationCounts,
    QueueNow,
    Times,
)

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD, ALERTS, LOGS = (ROOT / "docs" / name for name in ("grafana.json", "alerts.yml", "logs.md"))
ALWAYS = {
    "flagsite_database_up", "flagsite_build_info", "flagsite_beat_last_tick_seconds", "flagsite_canary_seconds",
    "flagsite_flag_state_drift", "flagsite_flag_states_compared_total",
}  # fmt: skip


def known() -> set[str]:
    """The name of every line that /metrics can have."""
    times = Times(1.0, [1] * (len(BOUNDS) + 1))
    ended = [
        EndedAttempts("q", "k", outcome, 1, 1, 1, 1, times, times, times, times) for outcome in ("completed", "retried")
    ]
    figures = EngineMetrics(
        ended,
        [AttemptCount("q", "k", "completed", "request", 0, 1)],
        [OrganizationCounts("q", "k", 1, 1, 1)],
        [QueueNow("q", False, 1, 1, 1, 1.0)],
        deliveries=[DeliveriesNow("email", 1, 1, 1, 1.0)],
        counters={},
        seconds_since_rescuer_run=1.0,
    )
    requests.count(method="GET", route="docs", status=200, seconds=0.1)
    decorators.retry_listeners[0]("function", "TimeoutError")
    metrics: list[Metric] = [*job_metrics.metrics(figures), *requests.registry().collect()]
    return ALWAYS | {sample.name for metric in metrics for sample in metric.samples}


def used(text: str) -> set[str]:
    return set(re.findall(r"\bflagsite_[a-z_]+", text))


def test_the_dashboard_is_whole_and_each_metric_in_it_exists() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert used("\n".join(expressions)) <= known()
    assert all(used(expression) for expression in expressions)


def test_the_dashboard_shows_every_metric_that_there_is() -> None:
    shown = {re.sub(r"_(bucket|count|sum|created|total|info)$", "", name) for name in used(DASHBOARD.read_text())}
    there = {re.sub(r"_(bucket|count|sum|created|total|info)$", "", name) for name in known()}
    assert shown == there


def test_each_metric_in_the_alert_rules_exists() -> None:
    rules = ALERTS.read_text()
    assert used(rules)
    assert used(rules) <= known()
    assert "TODO" not in rules


@pytest.mark.slow
def test_promtool_accepts_the_alert_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (on Debian: the package prometheus)")
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_promtool_accepts_the_metrics() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (on Debian: the package prometheus)")
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Engine(Collector):
        def collect(self) -> list[Metric]:
            times = Times(1.0, [1] * (len(BOUNDS) + 1))
            ended = [EndedAttempts("q", "k", "completed", 1, 1, 1, 1, times, times, times, times)]
            return list(
                job_metrics.metrics(EngineMetrics(ended, organizations=[OrganizationCounts("q", "k", 1, 1, 1)]))
            )

    registry = CollectorRegistry()
    registry.register(Engine())
    text = generate_latest(registry)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert b"error" not in done.stderr.lower(), done.stderr


def test_the_table_of_events_has_all_that_the_code_logs_and_no_other() -> None:
    cells = re.findall(r"^\| (`[a-z_`, ]+`) \|", LOGS.read_text(), re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    logged: set[str] = set()
    for folder in ("jobs", "flags", "flagsite", "orgs"):
        for path in (ROOT / folder).rglob("*.py"):
            if "tests" not in path.parts:
                logged |= events_in(path.read_text())
    assert listed == logged


def events_in(source: str) -> set[str]:
    """The events of `log.info("…")`, `say(log.info, "…")`, `(log.error if … else log.info)("…")`, `level()("…")`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)] if "log = " in source else []
    found: set[str] = set()
    for call in calls:
        words = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if words and (isinstance(call.func, ast.Call) or any(map(_is_of_the_log, [call.func, *call.args]))):
            found.add(words[0])
    return found


def _is_of_the_log(expression: ast.expr) -> bool:
    choices = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
    return any(
        isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "log" for one in choices
    )
