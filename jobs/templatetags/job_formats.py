"""Template filters that format durations, counts and percentages for people."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.engine import backoff
from jobs.engine.models import Job, Queue
from jobs.metrics.statistics import MAX_COUNTED_JOBS, Duration

register = template.Library()
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
NOTHING = "–"
SHORT_SECONDS = 10


@register.filter
def duration(value: Duration | timedelta | float | None) -> str:
    """A duration in its two largest units: 0.40 s, 12 s, 3 min 5 s, 2 d 4 h."""
    if value is None:
        return NOTHING
    or_more = isinstance(value, Duration) and value.or_more
    seconds = value.seconds if isinstance(value, Duration) else value
    seconds = max(0.0, seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds))
    return ("over " if or_more else "") + _in_units(seconds)


def _in_units(seconds: float) -> str:
    if seconds < SHORT_SECONDS:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    rest, parts = round(seconds), list[str]()
    for name, size in UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


@register.filter
def since(moment: datetime | None) -> str:
    """The duration from the moment until now."""
    return NOTHING if moment is None else duration(timezone.now() - moment)


@register.filter
def as_json(value: Any) -> str:
    """A value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def capped(count: int) -> str:
    """A count, or "more than" MAX_COUNTED_JOBS, where counting stops."""
    return f"more than {MAX_COUNTED_JOBS:,}" if count > MAX_COUNTED_JOBS else f"{count:,}"


@register.filter
def percent(share: float | None) -> str:
    """A share from 0 to 1 as a percentage."""
    if share is None:
        return NOTHING
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return "over 99.9%"  # rounding must not hide the last failure
    return text.replace(".0%", "%")


@register.filter
def grouped(count: int) -> str:
    """A count with commas between the thousands."""
    return f"{count:,}"


@register.filter
def unlocalized(number: float) -> str:
    """A number as style sheets need it, with a decimal point in every language."""
    return f"{number:g}"


@register.filter
def waits(queue: Queue) -> str:
    """The waits of the queue's automatic retries, in their order."""
    waits = (backoff.of_queue(queue, number, jitter=False) for number in range(1, queue.max_retries + 1))
    return ", ".join(map(duration, waits)) or NOTHING


@register.filter
def work(job: Job) -> SafeString | str:
    """The work of a job: the flag and its value, or else the kind of work."""
    flag, enabled, operation = (job.arguments.get(name) for name in ("featureFlagName", "enabled", "deed"))
    if flag:
        return format_html("{} <strong>{}</strong>", flag, job.kind if enabled is None else "on" if enabled else "off")
    if operation is not None:
        return format_html("{} <strong>many jobs</strong>", "prioritise" if operation == "priority" else operation)
    if job.kind == "organization_import":
        return "dry run of an import" if job.arguments.get("dryRun") else "import of organizations"
    if job.kind == "django_task":
        return format_html("{} <strong>task</strong>", job.arguments["task"])
    return "values of a placement" if job.arguments.get("placement") else job.kind


@register.filter
def cell(row: Any, name: str) -> SafeString:
    """A live cell of a row (`jobs.admin.job_rows`)."""
    html: SafeString = row.cell(name)
    return html
