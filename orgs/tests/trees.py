"""What the tests of the tree share."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from orgs.errors import ImportRefused
from orgs.importing import importer
from orgs.importing.importer import ImportReport
from orgs.importing.options import ImportOptions
from orgs.tree import integrity
from orgs.tree.models import Organization


def get(key: str) -> Organization:
    """The organization as it is now."""
    return Organization.objects.get(key=key)


def paths() -> set[str]:
    """Every organization as "root/…/parent/key" by the tree columns, which must be sound."""
    assert integrity.find_problems().problems == []
    found: set[str] = set()
    above: list[Organization] = []
    for one in Organization.objects.order_by("tree_id", "lft"):
        while above and (above[-1].tree_id != one.tree_id or above[-1].rght < one.lft):
            above.pop()
        above.append(one)
        found.add("/".join(ancestor.key for ancestor in above))
        assert one.parent_id == (above[-2].pk if len(above) > 1 else None)
    return found


@contextmanager
def circles_allowed() -> Iterator[None]:
    """Without the triggers that refuse circles of parents, as a session that disables them damages the tree."""
    with connection.cursor() as cursor:
        cursor.execute(SWITCH_TRIGGERS.replace("SWITCH", "DISABLE"))
        yield
        cursor.execute(SWITCH_TRIGGERS.replace("SWITCH", "ENABLE"))


SWITCH_TRIGGERS = """
SET CONSTRAINTS ALL IMMEDIATE;  -- a table whose checks are pending cannot be altered
ALTER TABLE orgs_organization SWITCH TRIGGER orgs_no_circle_after_insert;
ALTER TABLE orgs_organization SWITCH TRIGGER orgs_no_circle_after_update;
ALTER TABLE orgs_organization SWITCH TRIGGER orgs_no_orphans;
SET CONSTRAINTS ALL DEFERRED;
"""


def import_rows(*rows: str, header: str = "key,name,parent_key", **options: Any) -> ImportReport:
    """Import lines of CSV; moves between trees are allowed unless the options say otherwise."""
    return import_bytes("\n".join([header, *rows, ""]).encode(), **{"move_between_trees": True, **options})


def import_bytes(content: bytes, *, dry_run: bool = False, **options: Any) -> ImportReport:
    """Import a file's content."""
    return importer.import_organizations(io.BytesIO(content), options=ImportOptions(**options), dry_run=dry_run)


def refused(content: bytes, **options: Any) -> list[tuple[int, str]]:
    """The lines with their problems for which a file is refused."""
    before = set(Organization.objects.values_list())
    try:
        import_bytes(content, **options)
    except ImportRefused as error:
        assert set(Organization.objects.values_list()) == before
        assert error.count == len(error.lines)
        return [tuple(line) for line in error.lines]
    raise AssertionError("The file was not refused.")
