"""A report as one JSON document, written row by row."""

from __future__ import annotations

from typing import Any, BinaryIO

import orjson

from flags.reports.figures import Figures, Heading, Table

OPTIONS = orjson.OPT_UTC_Z


def write(heading: Heading, figures: Figures, file: BinaryIO) -> None:
    """Write the report. The rows of each table are objects with the names of its columns."""
    head: dict[str, Any] = {
        "report": heading.report,
        "from": heading.first,
        "to": heading.last,
        "organizationId": heading.organization_id,
        "organization": heading.organization,
        "madeAt": heading.made_at,
        "figures": {figure.name: figure.value for figure in figures.key_figures},
        "notes": list(figures.notes),
    }
    file.write(orjson.dumps(head, option=OPTIONS)[:-1] + b',"tables":{')
    for number, table in enumerate(figures.tables):
        file.write((b"," if number else b"") + orjson.dumps(table.name) + b":[")
        _write_rows(table, file)
        file.write(b"]")
    file.write(b"}}\n")


def _write_rows(table: Table, file: BinaryIO) -> None:
    names = [column.name for column in table.columns]
    separator = b"\n"
    for row in table.rows:
        file.write(separator + orjson.dumps(dict(zip(names, row, strict=True)), option=OPTIONS))
        separator = b",\n"
