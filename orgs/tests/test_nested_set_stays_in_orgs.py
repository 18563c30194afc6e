"""A later change of the nested set touches `orgs` alone: no other app names its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

COLUMNS = re.compile(r"\b(lft|rght|tree_id)\b")


def product_files(app: str) -> Iterator[Path]:
    """What runs in production: Python, SQL and templates, without tests and migrations."""
    for file in sorted((Path(settings.BASE_DIR) / app).rglob("*")):
        if file.suffix in {".py", ".sql", ".html"} and not {"tests", "migrations"} & set(file.parts):
            yield file


def test_no_other_app_names_a_column_of_the_nested_set() -> None:
    named = [
        f"{file}: {line.strip()}"
        for app in ("flags", "jobs", "flagsite")
        for file in product_files(app)
        if file.name != "django_mptt.py"  # an adapter of the library, which only orgs uses
        for line in file.read_text().splitlines()
        if COLUMNS.search(line)
    ]
    assert named == []


def test_the_scan_sees_the_columns_where_they_are() -> None:
    assert {file.name for file in product_files("orgs") if COLUMNS.search(file.read_text())} >= {
        "subtrees.py", "nested_set.py", "integrity.py"
    }  # fmt: skip
