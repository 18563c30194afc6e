"""The report of an import as a CSV file."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.imports.models import OrganizationImport
from orgs.importing import report

BLOCK_SIZE = 2_000


def csv_report(record: OrganizationImport) -> Iterator[str]:
    """Yield the file line by line. Memory holds one block of lines."""
    return report.csv_lines(_rows(record))


def _rows(record: OrganizationImport) -> Iterator[tuple[object, ...]]:
    after = 0
    while block := list(
        record.lines.filter(pk__gt=after).order_by("pk").values_list("pk", *report.COLUMNS)[:BLOCK_SIZE]
    ):
        yield from (row[1:] for row in block)
        after = block[-1][0]
