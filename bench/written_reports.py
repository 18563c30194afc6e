"""The rows that a report writes in a second, and the memory of its process, which must not grow with the rows."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from bench.installation import Installation
from bench.report import Result, say

LARGER = 10
"""How many times more rows the larger report has."""
MOST_MORE_MEGABYTES = 30.0
ENTRIES = """
INSERT INTO orgs_historyentry (at, actor, action, subject, organization_id, reason, details, via, address,
                               correlation_id)
SELECT date_trunc('day', now()) - interval '1 day' * (1 + number %% %(days)s), 'key:4fG6aB bench', 'flag.set',
       'flag:bench', %(organization)s, 'Because of a benchmark', '{"before": false, "enabled": true}', 'api', '', ''
  FROM generate_series(1, %(rows)s) number
"""
COPIES = {
    "usage": """
COPY (SELECT organization.id, organization.key, organization.name, flag.key, state.enabled, state.updated_at
        FROM orgs_organization organization
        JOIN flags_flagstate state ON state.organization_id = organization.id
        JOIN flags_flag flag ON flag.id = state.flag_id
       ORDER BY organization.id) TO STDOUT""",
    "audit": """
COPY (SELECT id, at, actor, action, subject, organization_id, reason, details, via FROM orgs_historyentry
       WHERE at >= date_trunc('day', now()) - interval '10 days' AND at < date_trunc('day', now())
       ORDER BY at, id) TO STDOUT""",
}
"""The same rows as text, as fast as PostgreSQL writes them."""
FORMATS = ("csv", "xlsx")


def written_reports(installation: Installation, rows: int) -> list[Result]:
    """Write reports with `rows` flag states and audit entries, each as CSV and as a workbook, and tenths of them."""
    written: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with installation.worker(concurrency=2):
        for descendants in (rows // LARGER, rows):
            (root,) = installation.create_trees(descendants)
            installation.flip(root)
            for format_ in FORMATS:
                figures = _write(installation, "usage", format_, organization=root)
                written.setdefault(("usage", format_), []).append(figures)
    installation.sql(ENTRIES, {"days": LARGER, "organization": root, "rows": rows})
    installation.sql("VACUUM (ANALYZE) orgs_historyentry")
    for format_ in FORMATS:
        written["audit", format_] = [_write(installation, "audit", format_, days=days) for days in (1, LARGER)]
    seconds = {name: _copy_seconds(installation, statement) for name, statement in COPIES.items()}
    return [_result(name, format_, *pair, pair[1]["rows"] / seconds[name]) for (name, format_), pair in written.items()]


def _copy_seconds(installation: Installation, statement: str) -> float:
    """Read the same rows with COPY. Returns its seconds."""
    began = time.perf_counter()
    with psycopg.connect(installation.database_url) as connection, connection.cursor().copy(statement) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - began


def _result(name: str, format_: str, smaller: dict[str, Any], larger: dict[str, Any], copy_rate: float) -> Result:
    rate = larger["rows"] / larger["seconds"]
    more = larger["megabytes"] - smaller["megabytes"]
    return Result(
        f"report {name} of {larger['rows']:,} rows as {format_}",
        f"{rate:,.0f} rows/s, {larger['megabytes']:.0f} MB",
        f"{smaller['rows']:,} rows: {smaller['megabytes']:.0f} MB; COPY {copy_rate:,.0f} rows/s",
        copy_rate / rate,
        f"≤ {MOST_MORE_MEGABYTES:.0f} MB more",
        more <= MOST_MORE_MEGABYTES and larger["rows"] >= smaller["rows"] * LARGER * 0.99,
        {"rate": rate, "copy_rate": copy_rate, "more_megabytes": more, "smaller": smaller, "larger": larger},
    )


WRITE = """
import django, json, os, resource, sys, tempfile, time
django.setup()
from datetime import UTC, datetime, timedelta
from flags.reports.report_job import FileFormat, ReportName, files_of, report_of
from flagsite.core.db.snapshot import snapshot
given = json.loads({given!r})
now = datetime.now(UTC)
first, last = (now.date() - timedelta(days=days) for days in (given["days"], 1))
arguments = {{"from": str(first), "to": str(last), "details": True}}
began = time.perf_counter()
with snapshot(), tempfile.TemporaryFile() as file:
    heading, figures = report_of(
        ReportName(given["report"]), arguments, given["organization"], requested_at=now)
    for written in files_of(heading, figures, FileFormat(given["format"])):
        written.write(file)
    size = file.seek(0, os.SEEK_END)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** (1 if sys.platform == "linux" else 2)
rows = max(table.count for table in figures.tables)
print(json.dumps({{"rows": rows, "seconds": seconds, "megabytes": peak, "bytes": size}}))
"""


def _write(
    installation: Installation, report: str, format_: str, *, organization: int | None = None, days: int = 1
) -> dict[str, Any]:
    """Write a report in a process of its own; returns its rows, seconds, bytes and peak memory in megabytes."""
    given = json.dumps({"report": report, "format": format_, "organization": organization, "days": days})
    figures: dict[str, Any] = json.loads(installation.python(WRITE.format(given=given)).splitlines()[-1])
    say(f"{report} as {format_}: {figures}")
    return figures
