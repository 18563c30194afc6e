"""The trees with which the state machine of requests begins, and what it reads of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from flags.definitions.models import Flag
from flags.states.expected_states import Difference, differences
from flags.states.models import FlagState
from flags.states.set_flag import AcceptedChange
from flags.tests.states.naive import Holds
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations.selection import Selection
from orgs.tree import locks
from orgs.tree.models import Organization

MOST_ORGANIZATIONS = 10
TABLES = (
    "test_refused",
    "flags_change",
    "flags_flagsetting",
    "flags_flagstate",
    "jobs_jobfailure",
    "jobs_job",
    "orgs_organization",
)
TREES = """
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
VALUES ('a', 'a', NULL, 1, 1, 10, 0, 4), ('x', 'x', NULL, 2, 1, 6, 0, 2);
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
SELECT child.name, child.name, parent.id, child.tree, child.lft, child.rght, 1, child.below
  FROM (VALUES ('b', 'a', 1, 2, 7, 2), ('e', 'a', 1, 8, 9, 0), ('y', 'x', 2, 2, 5, 1))
       child(name, above, tree, lft, rght, below)
  JOIN orgs_organization parent ON parent.name = child.above ORDER BY 1;
INSERT INTO orgs_organization (name, key, parent_id, tree_id, lft, rght, level, descendant_count)
SELECT child.name, child.name, parent.id, child.tree, child.lft, child.rght, 2, 0
  FROM (VALUES ('c', 'b', 1, 3, 4), ('d', 'b', 1, 5, 6), ('z', 'y', 2, 3, 4)) child(name, above, tree, lft, rght)
  JOIN orgs_organization parent ON parent.name = child.above ORDER BY 1;
"""
"""a with b (c, d) and e; x with y (z)."""
DAMAGE = """
DELETE FROM flags_flagstate WHERE (organization_id + flag_id) % 4 = 0;
UPDATE flags_flagstate SET enabled = NOT enabled WHERE (organization_id + flag_id) % 4 = 1;
UPDATE flags_flagstate SET source_id = 0, change_number = change_number + 1000000
 WHERE (organization_id + flag_id) % 4 = 2;
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization.id, flag.id, true, organization.id, 1000000, now()
  FROM orgs_organization organization CROSS JOIN flags_flag flag ON CONFLICT DO NOTHING;
"""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def begin_anew(retries: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute(TREES)
        cursor.execute("UPDATE jobs_queue SET max_retries = %s", [retries])


def changed_in_tree(
    organization_id: int, change: Callable[..., AcceptedChange | None], **arguments: Any
) -> AcceptedChange | None:
    """Call a function that changes a flag on an organization, in a transaction that has the tree lock."""
    with transaction.atomic():
        locks.lock_trees_for_reading(organization_id)
        return change(Organization.objects.get(pk=organization_id), **arguments)


def retryable() -> QuerySet[Job]:
    """The latest attempts of chains that may have left somebody behind."""
    return Selection().failed().order_by("id")


def rows() -> dict[int, dict[int, Holds]]:
    found: dict[int, dict[int, Holds]] = {}
    for row in FlagState.objects.all():
        found.setdefault(row.organization_id, {})[row.flag_id] = Holds(
            row.enabled, row.source_id, row.change_number, row.locked
        )
    return found


def set_only(rows: dict[int, dict[int, Holds]]) -> dict[int, dict[int, Holds]]:
    """The rows that have a value: one without is as good as none."""
    found = {
        organization: {flag: row for flag, row in states.items() if row.enabled is not None}
        for organization, states in rows.items()
    }
    return {organization: states for organization, states in found.items() if states}


def all_differences() -> list[Difference]:
    return differences(
        list(Organization.objects.values_list("pk", flat=True)), list(Flag.objects.values_list("pk", flat=True))
    )


def without(left_out: set[tuple[int, int]], rows: dict[int, dict[int, Holds]]) -> dict[tuple[int, int], Holds]:
    every = {(organization, flag): row for organization, states in rows.items() for flag, row in states.items()}
    return {place: row for place, row in every.items() if place not in left_out}


def last_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM flags_change_number")
        return int(cursor.fetchone()[0])


def put_first(which: int) -> None:
    """Make every waiting job due, and one of them the first."""
    waiting = Job.objects.filter(status=Status.PENDING).order_by("id")
    ids = list(waiting.values_list("pk", flat=True))
    waiting.update(run_at=LONG_AGO, priority=0)
    waiting.filter(pk__in=ids[which % len(ids) :][:1] if ids else []).update(priority=1)
