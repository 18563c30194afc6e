"""The report of an import as a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from jobs.imports.models import OrganizationImport
from orgs.importing import report

BLOCK_SIZE = 2_000


def csv_report(record: OrganizationImport) -> Iterator[str]:
    """Yield the file in blocks of lines; the web server sends each block at once. Memory holds one block."""
    lines = report.csv_lines(_rows(record))
    while block := "".join(islice(lines, BLOCK_SIZE)):
        yield block


def _rows(record: OrganizationImport) -> Iterator[tuple[object, ...]]:
    after = 0
    while block := list(
        record.lines.filter(pk__gt=after).order_by("pk").values_list("pk", *report.COLUMNS)[:BLOCK_SIZE]
    ):
        yield from (row[1:] for row in block)
        after = block[-1][0]
