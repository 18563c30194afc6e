"""The report of an import: a sentence, and the lines as a CSV file that opens safely in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flagsite.core import csv_output
from flagsite.core.words import counted
from orgs.errors import RefusedLine
from orgs.importing.staging import ImportReport, LineChange

COLUMNS = (*LineChange._fields, "problem")
"""The columns of the CSV file. A line has either a change or a problem."""


def sentence(report: ImportReport, *, dry_run: bool = False) -> str:
    """Return the counts in words."""
    if not report.rows:
        return "Nothing to change: the file has no organizations."
    if report.unchanged == report.rows:
        everything = "the only organization is" if report.rows == 1 else f"all {report.rows:,} organizations are"
        return f"Nothing to change: {everything} as the file says."
    would = "would be " if dry_run else ""
    organizations = "organization" if report.created == 1 else "organizations"
    gets = f"{would or 'are '}changed" if report.attributes != 1 else f"{would or 'is '}changed"
    attributes = f" The attributes of {counted(report.attributes, 'organization')} {gets}." if report.attributes else ""
    return (
        f"{report.created:,} {organizations} {would}created, {report.renamed:,} renamed, {report.moved:,} moved, "
        f"{report.unchanged:,} unchanged.{attributes}"
    )


def described(change: LineChange) -> str:
    """Return a change in words, with the names and parents before and after."""
    if change.change == "create":
        place = f"below {change.parent_key}" if change.parent_key else "as a root"
        return f"line {change.line}: {change.key} ({change.name}): created {place}"
    if change.change == "attributes":
        return f"line {change.line}: {change.key} ({change.name}): gets other attributes"
    parts = [f"renamed to {change.name}"] if change.former_name else []
    if "move" in change.change:
        before = f"below {change.former_parent_key}" if change.former_parent_key else "the top of its tree"
        after = f"below {change.parent_key}" if change.parent_key else "a tree of its own"
        parts.append(f"moved from {before} to {after}")
    return f"line {change.line}: {change.key} ({change.former_name or change.name}): {' and '.join(parts)}"


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield a CSV file with the header COLUMNS, line by line, which opens safely in a spreadsheet."""
    return csv_output.csv_lines(COLUMNS, rows)


def problem_rows(lines: Iterable[RefusedLine]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a report for lines with problems."""
    empty = [""] * (len(COLUMNS) - 2)
    return ((line, *empty, problem) for line, problem in lines)


def as_json(change: LineChange) -> dict[str, Any]:
    """Return a change with the names that the API uses."""
    return {
        "line": change.line,
        "change": change.change,
        "key": change.key,
        "name": change.name,
        "formerName": change.former_name or None,
        "parentKey": change.parent_key or None,
        "formerParentKey": change.former_parent_key or None,
    }
