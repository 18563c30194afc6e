"""Changes of the tree write what they change, and find room wherever gaps are full."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models import F
from mptt.exceptions import CantDisableUpdates

from conftest import Cast
from orgs.tests.trees import circles_allowed, get, import_rows, paths
from orgs.tree import gaps, integrity, locks, spacing, tree_operations
from orgs.tree.models import Organization
from orgs.tree.spacing import Spacing

TIGHT = Spacing(unit=2, limit=2**60, least=1, window=1)
SHORT = Spacing(unit=2, limit=90, least=1, window=2)


@pytest.fixture(params=[TIGHT, SHORT], ids=["small gaps", "few numbers"])
def tight(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacing, "SPACING", request.param)


@pytest.fixture
def dense(db: None) -> list[Organization]:
    """A tree without gaps: root, 30 organizations below it, and 20 below each of these."""
    import_rows(
        "root,Root,",
        *(f"b{branch},B,root" for branch in range(30)),
        *(f"b{branch}-{leaf},L,b{branch}" for branch in range(30) for leaf in range(20)),
    )
    locks.lock_all_trees_for_writing()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE orgs_organization organization
               SET lft = 2 * number - level - 1, rght = 2 * number - level + 2 * descendant_count
              FROM (SELECT id, row_number() OVER (ORDER BY lft) AS number FROM orgs_organization) dense
             WHERE organization.id = dense.id
            """
        )
    assert integrity.find_problems().sound
    assert get("root").rght == 2 * 631
    return list(Organization.objects.all())


@contextmanager
def written(at_most: int) -> Iterator[None]:
    """Check how many of the organizations that exist before and afterwards the block writes."""
    before = row_versions()
    yield
    after = row_versions()
    changed = {key for key, version in before.items() if after.get(key, version) != version}
    assert len(changed) <= at_most
    assert integrity.find_problems().problems == []


def row_versions() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, ctid::text FROM orgs_organization")
        return dict(cursor.fetchall())


def create(key: str, parent: str | None) -> int:
    return tree_operations.create(key=key, name=key, parent_id=get(parent).pk if parent else None).pk


def move(key: str, parent: str | None) -> None:
    tree_operations.move(organization_id=get(key).pk, parent_id=get(parent).pk if parent else None)


def test_a_creation_in_a_full_gap_writes_its_neighbours_and_not_the_tree(dense: list[Organization]) -> None:
    Organization.objects.update(lft=F("lft") * 1_000, rght=F("rght") * 1_000)  # as the migration of an old tree does
    for number in range(60):
        with written(at_most=2 * spacing.SPACING.window + 3):
            create(f"new-{number}", "b3-7")


def test_the_window_grows_until_it_has_room(dense: list[Organization]) -> None:
    create("new", "b3-7")  # only the end of the tree has room
    with written(at_most=4):
        create("below-new", "new")


def test_a_root_has_room_without_end(dense: list[Organization]) -> None:
    with written(at_most=1):
        for number in range(5):
            create(f"new-{number}", "root")


def test_a_creation_writes_its_ancestors_counts_and_nothing_else(dense: list[Organization]) -> None:
    create("first", "b3-7")
    with written(at_most=4):
        create("below-first", "first")
    assert [get(key).descendant_count for key in ("first", "b3-7", "b3", "b4", "root")] == [1, 2, 22, 20, 632]


def test_a_move_writes_what_it_moves_and_the_counts_above_it(dense: list[Organization]) -> None:
    create("first", "b3")
    with written(at_most=21 + 3):
        move("b5", "first")
    assert [get(key).descendant_count for key in ("b5", "first", "b3", "root")] == [20, 21, 42, 631]
    with written(at_most=21 + 3):
        move("b5", None)
    assert [get(key).descendant_count for key in ("b5", "first", "b3", "root")] == [20, 0, 21, 610]


def test_a_deletion_writes_only_the_counts_above_it(dense: list[Organization]) -> None:
    with written(at_most=1):
        tree_operations.delete(organization_id=get("b5").pk, subtree=True)
    with written(at_most=2):
        tree_operations.delete(organization_id=get("b6-1").pk)
    assert [get(key).descendant_count for key in ("b6", "root")] == [19, 608]


def test_an_import_writes_only_what_it_creates_and_moves_and_the_counts_above_it(dense: list[Organization]) -> None:
    import_rows("wide,Wide,root", "w1,W,wide", "w2,W,w1")
    with written(at_most=21 + 4):
        import_rows("w3,W,w2", "b7,B,w1", "w4,W,b7")
    assert [get(key).descendant_count for key in ("wide", "w1", "w2", "b7", "root")] == [25, 24, 1, 21, 635]


def test_an_import_without_room_renumbers_the_lowest_organizations_that_have_room(dense: list[Organization]) -> None:
    with written(at_most=21 + 1):
        import_rows("deep,Deep,b9-3")
    assert [get(key).descendant_count for key in ("b9-3", "b9", "root")] == [1, 21, 631]


def test_django_mptts_methods_see_descendants_and_leaves(cast: Cast) -> None:
    create("turin", "rome")
    assert [get(key).get_descendant_count() for key in ("acme", "south", "rome", "turin")] == [6, 2, 1, 0]
    assert [get(key).is_leaf_node() for key in ("acme", "south", "rome", "turin")] == [False, False, False, True]
    assert Organization(name="New").get_descendant_count() == 0
    assert {one.key for one in get("acme").get_leafnodes()} == {"oslo", "bergen", "turin"}
    assert [one.key for one in get("turin").get_leafnodes(include_self=True)] == ["turin"]
    assert [one.key for one in get("turin").get_ancestors()] == ["acme", "south", "rome"]
    assert {one.key for one in get("north").get_family()} == {"acme", "north", "oslo", "bergen"}
    assert get("turin").is_descendant_of(get("south"))
    assert get("turin").get_root() == get("acme")
    with pytest.raises(CantDisableUpdates):
        Organization.objects.build_tree_nodes({"name": "A", "key": "a"})


def test_a_rebuild_of_django_mptt_leaves_gaps_and_right_counts(cast: Cast) -> None:
    locks.lock_all_trees_for_writing()
    Organization.objects.update(lft=1, rght=2, descendant_count=0)
    Organization.objects.rebuild()
    assert "acme/north/oslo" in paths()
    with written(at_most=3):
        create("new", "oslo")


@pytest.mark.parametrize("seed", range(4))
def test_the_tree_stays_sound_when_its_gaps_are_always_full(cast: Cast, tight: None, seed: int) -> None:
    """Creations, moves within and between trees, and deletions; often at one place."""
    choose = random.Random(seed)
    naive: dict[str, str | None] = dict(Organization.objects.values_list("key", "parent__key"))
    hot = "oslo"
    for number in range(60):
        key, parent = choose.choice(sorted(naive)), choose.choice([hot, *sorted(naive)])
        what = choose.random()
        if what < 0.6:
            naive[f"n{number}"] = choose.choice([hot, parent])
            create(f"n{number}", naive[f"n{number}"])
        elif what < 0.9:
            target = None if choose.random() < 0.1 else parent
            if target is None or key not in way_up(target, naive):
                move(key, target)
                naive[key] = target
        elif key not in {"acme", "north", hot}:
            tree_operations.delete(organization_id=get(key).pk, subtree=True)
            naive = {one: above for one, above in naive.items() if key not in way_up(one, naive)}
        hot = hot if hot in naive else choose.choice(sorted(naive))
        if number % 6 == 0:
            assert paths() == {"/".join(reversed(way_up(one, naive))) for one in naive}
    assert paths() == {"/".join(reversed(way_up(one, naive))) for one in naive}


def way_up(key: str | None, parents: dict[str, str | None]) -> list[str]:
    found: list[str] = []
    while key is not None:
        found.append(key)
        key = parents[key]
    return found


def test_a_path_through_a_circle_ends(cast: Cast) -> None:
    assert [node.id for node in gaps.path_up(cast.oslo.pk)] == [cast.oslo.pk, cast.north.pk, cast.acme.pk]
    with circles_allowed():
        locks.lock_all_trees_for_writing()
        Organization.objects.filter(pk=cast.north.pk).update(parent=cast.oslo)
    assert [node.id for node in gaps.path_up(cast.oslo.pk)] == [cast.oslo.pk, cast.north.pk]
    assert gaps.path_up(2**40) == []
