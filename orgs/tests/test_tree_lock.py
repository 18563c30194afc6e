"""No structural write without the tree lock: what takes it by itself, and what the database refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from orgs.errors import OutsideTransaction
from orgs.tests.trees import get, import_rows, paths
from orgs.tree import integrity, locks, tree_operations
from orgs.tree.models import Organization

Change = Callable[[], object]


def sql(statement: str) -> Change:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def new() -> Organization:
    return Organization(key="new", name="New", tree_id=9, lft=1, rght=2, level=0, descendant_count=0)


REFUSED: dict[str, Change] = {
    "update of the parent": lambda: Organization.objects.filter(key="oslo").update(parent=get("south")),
    "update of a tree column": lambda: Organization.objects.filter(key="oslo").update(lft=1),
    "bulk_update": lambda: Organization.objects.bulk_update([get("oslo")], ["level"]),
    "bulk_create": lambda: Organization.objects.bulk_create([new()]),
    "children.add": lambda: get("south").children.add(get("oslo")),
    "children.set": lambda: get("south").children.set([get("oslo")]),
    "save_base, as loaddata does": lambda: new().save_base(raw=True),
    "a raw delete": lambda: Organization.objects.filter(key="oslo")._raw_delete("default"),
    "SQL that inserts": sql(
        "INSERT INTO orgs_organization (key, name, tree_id, lft, rght, level, descendant_count)"
        " VALUES ('n', 'N', 9, 1, 2, 0, 0)"
    ),
    "SQL that moves": sql("UPDATE orgs_organization SET parent_id = NULL WHERE key = 'oslo'"),
    "SQL that renumbers": sql("UPDATE orgs_organization SET rght = rght + 2 WHERE key = 'oslo'"),
    "SQL that deletes": sql("DELETE FROM orgs_organization WHERE key = 'oslo'"),
    "django-mptt's own update": lambda: Organization.objects._create_tree_space(0),
}
ALLOWED: dict[str, Change] = {
    "create": lambda: Organization.objects.create(key="new", name="New", parent=get("oslo")),
    "save of a new one": lambda: Organization(key="new", name="New").save(),
    "save with a new parent": lambda: _with_parent(get("oslo"), get("south")).save(),
    "move_to": lambda: get("oslo").move_to(get("south")),
    "move_node": lambda: Organization.objects.move_node(get("oslo"), get("south")),
    "insert_node": lambda: Organization.objects.insert_node(Organization(key="n", name="N"), get("south"), save=True),
    "delete": lambda: get("oslo").delete(),
    "delete of a queryset": lambda: Organization.objects.filter(key__startswith="r").delete(),
    "rebuild": Organization.objects.rebuild,
    "partial_rebuild": lambda: Organization.objects.partial_rebuild(get("oslo").tree_id),
    "get_or_create": lambda: Organization.objects.get_or_create(key="new", defaults={"name": "New"}),
    "update_or_create": lambda: Organization.objects.update_or_create(key="oslo", defaults={"parent": get("south")}),
    "children.create": lambda: get("oslo").children.create(key="new", name="New"),
    "tree.create": lambda: tree_operations.create(key="new", name="New"),
    "tree.move": lambda: tree_operations.move(organization_id=get("oslo").pk, parent_id=None),
    "tree.delete": lambda: tree_operations.delete(organization_id=get("oslo").pk),
    "an import": lambda: import_rows("new,New,oslo"),
    "a repair": integrity.repair,
}


def _with_parent(organization: Organization, parent: Organization) -> Organization:
    organization.parent = parent
    return organization


@pytest.fixture
def unlocked_cast(transactional_db: None, cast: Cast) -> Cast:
    """The cast, committed, so that no test's transaction holds the lock that made it."""
    return cast


def test_the_database_refuses_what_comes_without_the_lock(unlocked_cast: Cast) -> None:
    assert [name for name, change in REFUSED.items() if not refused(change)] == []
    assert len(paths()) == 8


def refused(change: Change) -> bool:
    try:
        change()
    except IntegrityError as error:
        return "without the tree lock" in str(error)
    return False


def takes_a_lock(statement: str) -> bool:
    return "orgs_lock_trees(" in statement or "pg_advisory" in statement


HARMLESS = (
    "SELECT", "SAVEPOINT", "RELEASE SAVEPOINT",
    "DECLARE",  # a rebuild and an import read with a cursor
    "CREATE TEMPORARY TABLE import_", "ANALYZE import_",
    "WITH drawn AS MATERIALIZED",  # an import draws ids from the sequence
)  # fmt: skip


def test_whatever_may_change_the_tree_takes_the_lock_first(unlocked_cast: Cast) -> None:
    """Before the lock, a change only reads, and an import only writes its temporary tables and draws ids."""
    for name, change in ALLOWED.items():
        with transaction.atomic():
            with CaptureQueriesContext(connection) as queries:
                change()
            assert len(paths()) >= 5, name
            transaction.set_rollback(True)
        statements = [query["sql"].strip() for query in queries if "import_entries" not in query["sql"]]
        locked = next(index for index, statement in enumerate(statements) if takes_a_lock(statement))
        assert [one for one in statements[:locked] if not one.startswith(HARMLESS)] == [], name


def test_shared_possession_of_the_lock_is_not_enough(unlocked_cast: Cast) -> None:
    with transaction.atomic():
        locks.lock_trees_for_reading(unlocked_cast.oslo.pk)
        with pytest.raises(IntegrityError, match="without the tree lock"), transaction.atomic():
            Organization.objects.filter(key="oslo").update(parent=None)


def test_renaming_needs_no_lock(unlocked_cast: Cast) -> None:
    with CaptureQueriesContext(connection) as queries:
        tree_operations.rename(organization_id=unlocked_cast.oslo.pk, name="Oslo II")
    assert not any(takes_a_lock(query["sql"]) for query in queries)


def test_the_lock_needs_a_transaction_to_live_in(transactional_db: None) -> None:
    for take in (locks.lock_all_trees_for_writing, locks.lock_trees_for_reading, locks.lock_trees_for_writing):
        with pytest.raises(OutsideTransaction):
            take()


LOCKED = """
SELECT set_config('flagsite.locked_trees', (
    SELECT COALESCE(range_agg(int4range(tree, tree, '[]')), '{}')::text FROM unnest(%s::int[]) tree), TRUE)
"""


@pytest.mark.django_db
@pytest.mark.parametrize("locked", [[], [5], [5, 6, 7], [1, 11, 15, 50, 51], [2_147_483_646], [*range(10, 90, 2)]])
def test_the_database_knows_each_locked_tree_and_no_other(locked: list[int]) -> None:
    """Trees with neighbours, which stand together in the setting, and trees whose numbers are parts of others."""
    trees = {*range(100), 111, 115, 151, 155, 511, 2_147_483_646, 2_147_483_647}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCKED, [locked])
        cursor.execute("SELECT tree FROM unnest(%s::int[]) tree WHERE orgs_is_tree_locked(tree)", [[*trees]])
        assert {tree for (tree,) in cursor.fetchall()} == set(locked)


@pytest.mark.django_db
def test_who_has_the_lock_of_all_trees_has_locked_each() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        cursor.execute("SELECT orgs_is_tree_locked(1), orgs_is_tree_locked(2147483647)")
        assert cursor.fetchone() == (True, True)
