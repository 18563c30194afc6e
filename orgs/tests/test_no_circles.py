"""PostgreSQL refuses every statement that would make an organization its own ancestor."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings

from conftest import Cast
from orgs.errors import OrganizationBelowItself
from orgs.tests.trees import circles_allowed, get, paths
from orgs.tree import integrity, locks, tree_operations
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of, path_names_of

BELOW_ITSELF = "about to be below itself"
NO_PARENT = "parent that does not exist"
LEFT_BEHIND = "about to lose its parent"
INSERT = "INSERT INTO orgs_organization (id, key, name, parent_id, tree_id, lft, rght, level, descendant_count) VALUES"
COLUMNS = "(id, key, name, parent_id, tree_id, lft, rght, level, descendant_count, created_at, updated_at)"

# {acme}, {north} and so on are ids of the cast; ids from 900000 on are free.
REFUSED: dict[str, tuple[str, list[str]]] = {
    "a parent of its own": (BELOW_ITSELF, ["UPDATE orgs_organization SET parent_id = id WHERE key = 'oslo'"]),
    "below what is below it": (BELOW_ITSELF, ["UPDATE orgs_organization SET parent_id = {oslo} WHERE key = 'acme'"]),
    "all at once": (BELOW_ITSELF, ["UPDATE orgs_organization SET parent_id = {oslo}"]),
    "two below each other": (
        BELOW_ITSELF,
        [
            (
                "UPDATE orgs_organization SET parent_id = CASE key WHEN 'oslo' THEN {rome} ELSE {oslo} END"
                " WHERE key IN ('oslo', 'rome')"
            )
        ],
    ),
    "one below a circle that the same statement makes": (
        BELOW_ITSELF,
        [
            (
                "UPDATE orgs_organization SET parent_id = CASE key WHEN 'north' THEN {south} WHEN 'south' THEN {north}"
                " ELSE {north} END WHERE key IN ('rival_store', 'north', 'south')"
            )
        ],
    ),
    "two statements, checks deferred": (
        BELOW_ITSELF,
        [
            "SET CONSTRAINTS ALL DEFERRED",
            "UPDATE orgs_organization SET parent_id = {rome} WHERE key = 'north'",
            "UPDATE orgs_organization SET parent_id = {oslo} WHERE key = 'south'",
        ],
    ),
    "a new one below itself": (BELOW_ITSELF, [f"{INSERT} (900001, 'a', 'A', 900001, 99, 1, 2, 0, 0)"]),
    "new ones below each other": (
        BELOW_ITSELF,
        [
            (
                f"{INSERT} (900001, 'a', 'A', 900003, 99, 1, 2, 0, 0), (900002, 'b', 'B', 900001, 99, 1, 2, 0, 0),"
                " (900003, 'c', 'C', 900002, 99, 1, 2, 0, 0)"
            )
        ],
    ),
    "new ones, the higher id first": (
        BELOW_ITSELF,
        [
            f"{INSERT} (900002, 'b', 'B', 900001, 99, 1, 2, 0, 0)",
            f"{INSERT} (900001, 'a', 'A', 900002, 99, 1, 2, 0, 0)",
        ],
    ),
    "new ones, the lower id first": (
        NO_PARENT,
        [
            f"{INSERT} (900001, 'a', 'A', 900002, 99, 1, 2, 0, 0)",
            f"{INSERT} (900002, 'b', 'B', 900001, 99, 1, 2, 0, 0)",
        ],
    ),
    "by way of one that is missing": (
        NO_PARENT,
        [
            f"{INSERT} (900009, 'c', 'C', 900005, 99, 1, 2, 0, 0)",
            f"{INSERT} (900001, 'a', 'A', 900009, 99, 1, 2, 0, 0)",
            f"{INSERT} (900005, 'b', 'B', 900001, 99, 1, 2, 0, 0)",
        ],
    ),
    "a parent to come": (
        NO_PARENT,
        [
            "UPDATE orgs_organization SET parent_id = 900001 WHERE key = 'acme'",
            f"{INSERT} (900001, 'a', 'A', {{oslo}}, 99, 1, 2, 0, 0)",
        ],
    ),
    "an upsert": (
        BELOW_ITSELF,
        [
            (
                f"{INSERT} (900001, 'acme', 'A', {{oslo}}, 99, 1, 2, 0, 0)"
                " ON CONFLICT (key) DO UPDATE SET parent_id = EXCLUDED.parent_id"
            )
        ],
    ),
    "deleted and put back": (
        LEFT_BEHIND,
        [
            "UPDATE orgs_organization SET parent_id = NULL WHERE key = 'rome'",
            "UPDATE orgs_organization SET parent_id = {rome} WHERE key = 'oslo'",
            "DELETE FROM orgs_organization WHERE key = 'rome'",
            f"{INSERT} ({{rome}}, 'rome', 'Rome', {{oslo}}, 99, 1, 2, 0, 0)",
        ],
    ),
    "deleted and put back by one statement": (
        LEFT_BEHIND,
        [
            "UPDATE orgs_organization SET parent_id = NULL WHERE key = 'rome'",
            "UPDATE orgs_organization SET parent_id = {rome} WHERE key = 'oslo'",
            (
                "WITH gone AS (DELETE FROM orgs_organization WHERE key = 'rome' RETURNING *)"
                f" INSERT INTO orgs_organization {COLUMNS}"
                " SELECT id, key, name, {oslo}, tree_id, lft, rght, level, descendant_count, created_at, updated_at"
                " FROM gone"
            ),
        ],
    ),
    "another id": (
        "about to get another id",
        [
            "UPDATE orgs_organization SET id = 900001 WHERE key = 'north'",
            f"{INSERT} ({{north}}, 'n', 'N', {{oslo}}, 99, 1, 2, 0, 0)",
        ],
    ),
}
ALLOWED: dict[str, list[str]] = {
    "a child becomes the parent": [
        (
            "UPDATE orgs_organization SET parent_id = CASE key WHEN 'acme' THEN {north} ELSE NULL END"
            " WHERE key IN ('acme', 'north')"
        )
    ],
    "a parent with a higher id": [
        f"{INSERT} (900001, 'a', 'A', 900002, 99, 1, 2, 0, 0), (900002, 'b', 'B', NULL, 9, 1, 2, 0, 0)"
    ],
    "a parent that comes later": [
        f"{INSERT} (900002, 'b', 'B', 900001, 99, 1, 2, 0, 0)",
        f"{INSERT} (900001, 'a', 'A', {{acme}}, 9, 1, 2, 0, 0)",
    ],
    "all deleted": ["DELETE FROM orgs_organization"],
    "no organization": ["UPDATE orgs_organization SET parent_id = id WHERE key = 'nobody'"],
}


def run(statements: Sequence[str], cast: Cast) -> None:
    """Run the statements in one transaction that holds the tree lock, checks of foreign keys at its end included."""
    ids = dict(Organization.objects.values_list("key", "pk"))
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        for statement in statements:
            cursor.execute(statement.format(**ids))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.parametrize(("words", "statements"), REFUSED.values(), ids=REFUSED)
def test_a_circle_is_refused_whatever_statements_make_it(cast: Cast, words: str, statements: list[str]) -> None:
    with pytest.raises(IntegrityError, match=words):
        run(statements, cast)
    assert len(paths()) == 8


@pytest.mark.parametrize("statements", ALLOWED.values(), ids=ALLOWED)
def test_what_makes_no_circle_is_allowed(cast: Cast, statements: list[str]) -> None:
    run(statements, cast)


@pytest.mark.parametrize(("words", "statements"), REFUSED.values(), ids=REFUSED)
def test_without_the_triggers_the_same_statements_damage_the_tree(
    cast: Cast, words: str, statements: list[str]
) -> None:
    """Each of them makes a circle, unless a trigger refuses it."""
    with circles_allowed():
        run(statements, cast)
    assert integrity.CIRCLE in integrity.find_problems().counts


def test_the_error_names_the_circle(cast: Cast) -> None:
    with pytest.raises(IntegrityError, match="below itself: acme below oslo below north below acme"):
        run(["UPDATE orgs_organization SET parent_id = {oslo} WHERE key = 'acme'"], cast)


def test_an_older_snapshot_cannot_hide_what_others_have_moved(transactional_db: None, cast: Cast) -> None:
    with pytest.raises(IntegrityError, match="READ COMMITTED"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        locks.lock_all_trees_for_writing()
        cursor.execute("UPDATE orgs_organization SET parent_id = %s WHERE key = 'rome'", [cast.north.pk])


def test_a_lock_of_the_session_is_held_to_the_end_of_the_transaction(transactional_db: None, cast: Cast) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [locks.TREE_LOCK])
        cursor.execute("UPDATE orgs_organization SET parent_id = %s WHERE key = 'rome'", [cast.north.pk])
        cursor.execute("SELECT pg_advisory_unlock(%s)", [locks.TREE_LOCK])
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objid = %s",
            [locks.TREE_LOCK],
        )
        assert cursor.fetchone() == (1,)


def test_a_move_that_damaged_columns_do_not_refuse_is_refused_by_the_trigger(cast: Cast) -> None:
    locks.lock_all_trees_for_writing()
    Organization.objects.filter(key="oslo").update(lft=9, rght=10)  # as if it was not below north
    with pytest.raises(OrganizationBelowItself):
        tree_operations.move(organization_id=cast.north.pk, parent_id=cast.oslo.pk)
    assert get("north").parent_id == cast.acme.pk


LINKS = st.lists(st.integers(-1, 7), min_size=8, max_size=8)


def has_circle(parents: dict[int, int | None]) -> bool:
    """Whether somebody who walks up from an organization never comes to a root."""
    for start in parents:
        organization: int | None = start
        for _ in parents:
            organization = parents[organization] if organization is not None else None
        if organization is not None:
            return True
    return False


@given(links=LINKS, order=st.permutations(range(8)))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_parents_are_refused_exactly_when_they_have_a_circle(
    cast: Cast, links: list[int], order: list[int]
) -> None:
    ids = sorted(Organization.objects.values_list("pk", flat=True))
    parents = {ids[n]: None if link < 0 else ids[link] for n, link in enumerate(links)}
    fresh = {900_000 + n: None if link < 0 else 900_000 + link for n, link in enumerate(links)}
    assert has_circle(parents) == _is_refused(
        "UPDATE orgs_organization SET parent_id = new.parent_id"
        " FROM unnest(%s::bigint[], %s::bigint[]) new(id, parent_id) WHERE orgs_organization.id = new.id",
        [list(parents), list(parents.values())],
    )
    rows = [(900_000 + n, fresh[900_000 + n]) for n in order]
    assert has_circle(fresh) == _is_refused(
        f"INSERT INTO orgs_organization {COLUMNS} SELECT id, id, id, parent_id, 9, 1, 2, 0, 0, now(), now()"
        " FROM unnest(%s::bigint[], %s::bigint[]) new(id, parent_id)",
        [[row[0] for row in rows], [row[1] for row in rows]],
    )


def _is_refused(statement: str, parameters: list[Any]) -> bool:
    """Whether the statement is refused as a circle; whatever it has done is undone."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            locks.lock_all_trees_for_writing()
            cursor.execute(statement, parameters)
            transaction.set_rollback(True)
    except IntegrityError as error:
        assert BELOW_ITSELF in str(error)
        return True
    return False


def test_paths_lead_from_the_root_down(cast: Cast) -> None:
    assert path_ids_of(cast.oslo.pk) == [cast.acme.pk, cast.north.pk, cast.oslo.pk]
    assert path_ids_of(2**40) == []
    assert path_names_of([cast.oslo.pk, cast.rival.pk, 2**40]) == {
        cast.oslo.pk: ["Acme", "North", "Oslo"], cast.rival.pk: ["Rival"]
    }  # fmt: skip
    assert path_names_of([cast.oslo.pk, cast.rome.pk], top_id=cast.north.pk) == {
        cast.oslo.pk: ["North", "Oslo"], cast.rome.pk: ["Acme", "South", "Rome"]
    }  # fmt: skip


def test_the_migration_refuses_circles_that_are_there_and_names_them(cast: Cast) -> None:
    migration = importlib.import_module("orgs.migrations.0010_no_circles_of_parents")
    migration.refuse_circles_that_are_there(None, connection.schema_editor(atomic=False))
    locks.lock_all_trees_for_writing()
    with circles_allowed():
        Organization.objects.filter(key="north").update(parent=cast.oslo)
        Organization.objects.filter(key="rival").update(parent=cast.rival)
    with pytest.raises(CommandError) as refused:
        migration.refuse_circles_that_are_there(None, connection.schema_editor(atomic=False))
    message = str(refused.value)
    assert "Organizations are below themselves: north below oslo below north." in message
    assert "Organizations are below themselves: rival below rival." in message
    assert "UPDATE orgs_organization SET parent_id = NULL WHERE key = 'north';" in message
