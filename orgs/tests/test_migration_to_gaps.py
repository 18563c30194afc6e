"""The migration that gives the nested set its gaps, there and back."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection, transaction

from conftest import Cast
from orgs.tests.trees import get, paths
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

migration = importlib.import_module("orgs.migrations.0019_gaps_in_the_nested_set")
LATER = [
    importlib.import_module(f"orgs.migrations.{name}")
    for name in ("0020_one_lock_per_tree", "0022_cheap_check_of_tree_locks")
]
"""Migrations after it that change what it has made."""
COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
 WHERE table_name = 'orgs_organization' AND column_name IN ('lft', 'rght', 'descendant_count') ORDER BY 1
"""


class Editor:
    """What the operation needs of a schema editor."""

    connection = connection


def rows_of(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@pytest.fixture
def before(transactional_db: None, cast: Cast) -> Iterator[set[str]]:
    """The table as the release before left it, with the paths of the tree."""
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        tree_operations.create(key="turin", name="Turin", parent_id=cast.rome.pk)
    found = paths()
    for later in reversed(LATER):
        later.in_one_transaction(later.BACKWARDS)(None, Editor)
    migration.in_one_transaction(migration.CLOSE_GAPS)(None, Editor)
    try:
        yield found
    finally:
        if len(rows_of(COLUMNS)) < 3:
            migration.in_one_transaction(migration.OPEN_GAPS)(None, Editor)
        if rows_of("SELECT 1 FROM pg_proc WHERE proname = 'orgs_lock_trees'") == []:
            _migrate_further()


def _migrate_further() -> None:
    for later in LATER:
        later.in_one_transaction(later.FORWARDS)(None, Editor)


def test_the_way_back_leaves_the_dense_numbers_of_the_release_before(before: set[str]) -> None:
    assert rows_of(COLUMNS) == [("lft", "integer"), ("rght", "integer")]
    numbers = rows_of("SELECT key, lft, rght FROM orgs_organization ORDER BY tree_id, lft")
    assert numbers == [
        ("acme", 1, 14), ("north", 2, 7), ("oslo", 3, 4), ("bergen", 5, 6), ("south", 8, 13), ("rome", 9, 12),
        ("turin", 10, 11), ("rival", 1, 4), ("rival_store", 2, 3),
    ]  # fmt: skip


def test_the_way_forward_keeps_the_tree_and_opens_gaps(before: set[str]) -> None:
    migration.in_one_transaction(migration.OPEN_GAPS)(None, Editor)
    _migrate_further()
    assert rows_of(COLUMNS) == [("descendant_count", "integer"), ("lft", "bigint"), ("rght", "bigint")]
    assert paths() == before
    numbers = dict(Organization.objects.values_list("key", "lft"))
    tree_operations.create(key="new", name="New", parent_id=get("oslo").pk)
    assert paths() == before | {"acme/north/oslo/new"}
    assert numbers.items() <= dict(Organization.objects.values_list("key", "lft")).items()


def test_the_trigger_guards_the_new_column(before: set[str]) -> None:
    migration.in_one_transaction(migration.OPEN_GAPS)(None, Editor)
    with pytest.raises(Exception, match="without the tree lock"):
        Organization.objects.update(descendant_count=0)


def test_the_migration_gives_way_to_those_who_use_the_table(before: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again, and tells what to stop if it never gets the table."""
    other = connection.copy()
    monkeypatch.setattr(migration, "ATTEMPTS", 2)
    monkeypatch.setattr(migration, "SECONDS_BETWEEN_ATTEMPTS", 0)
    monkeypatch.setattr(migration, "TAKE_LOCKS", migration.TAKE_LOCKS.replace("'2s'", "'10ms'"))
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orgs_organization")
            with pytest.raises(CommandError, match="Stop the web processes and the workers"):
                migration.in_one_transaction(migration.OPEN_GAPS)(None, Editor)
        other.rollback()
        migration.in_one_transaction(migration.OPEN_GAPS)(None, Editor)
    finally:
        other.close()
    assert paths() == before
