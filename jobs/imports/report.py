"""The report of an import as a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from flagsite.core.db.streamed_rows import streamed
from jobs.imports.models import OrganizationImport
from orgs.importing import report

BLOCK_SIZE = 2_000


def csv_report(record: OrganizationImport) -> Iterator[str]:
    """Yield the file in blocks of lines; the web server sends each block at once. Memory holds one block."""
    query, parameters = record.lines.order_by("pk").values_list(*report.COLUMNS).query.sql_with_params()
    lines = report.csv_lines(streamed(query, parameters))
    while block := "".join(islice(lines, BLOCK_SIZE)):
        yield block
