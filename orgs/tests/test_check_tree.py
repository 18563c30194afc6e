"""check_tree: what it finds, in words, and what it repairs."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings

from conftest import Cast
from orgs.errors import ImportRefused, MoveUnderOwnDescendant, OrganizationBelowItself
from orgs.tests.trees import circles_allowed, get, import_rows, paths
from orgs.tree import integrity, locks, nested_set, tree_operations
from orgs.tree.models import Organization
from orgs.tree.nested_set import LinkedOrganizations

CAST = {
    "acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome",
    "rival", "rival/rival_store",
}  # fmt: skip


def damage(key: str, **columns: Any) -> None:
    """Change columns behind everybody's back."""
    locks.lock_all_trees_for_writing()
    with circles_allowed():
        assert Organization.objects.filter(key=key).update(**columns) == 1


def found() -> dict[str, str]:
    """The words about each organization, by key."""
    words: dict[str, str] = {}
    for problem in integrity.find_problems().problems:
        words[problem.key] = "; ".join([*filter(None, [words.get(problem.key)]), problem.words])
    return words


def test_nothing_is_found_in_a_sound_tree(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_tree")
    assert capsys.readouterr().out == "The tree has no problems: 8 organizations.\n"


def test_an_empty_tree_is_sound(db: None) -> None:
    assert integrity.find_problems().sound


@pytest.mark.parametrize(
    ("key", "columns", "expected"),
    [
        ("oslo", {"lft": 2}, {"oslo": "has lft 2, and its parent 2"}),
        ("oslo", {"lft": 1}, {"oslo": "has lft 1, and its parent 2"}),
        ("oslo", {"rght": 5}, {"bergen": "has lft 5, and the sibling before it ends at 5"}),
        ("oslo", {"rght": 3}, {"oslo": "has rght 3, and lft 3"}),
        ("bergen", {"rght": 8}, {"bergen": "has rght 8, and its parent 7"}),
        ("rome", {"level": 1}, {"rome": "has level 1, not 2"}),
        ("south", {"level": 0}, {"south": "has level 0, not 1", "rome": "has level 2, not 1"}),
        ("rome", {"tree_id": 99}, {"rome": "has tree_id 99, but its parent {tree}"}),
        ("acme", {"lft": 0}, {"acme": "has lft 0, which is less than 1"}),
        ("acme", {"rght": 11}, {"south": "has rght 11, and its parent 11"}),
        ("acme", {"descendant_count": 6}, {"acme": "has descendant_count 6, not 5"}),
        (
            "rome",
            {"descendant_count": 2},
            {
                "rome": "has descendant_count 2, not 0",
                "south": "has descendant_count 1, not 3",
            },
        ),
    ],
)
def test_what_is_wrong_is_told_and_repaired(
    cast: Cast, key: str, columns: dict[str, int], expected: dict[str, str]
) -> None:
    damage(key, **columns)
    assert found() == {one: words.format(tree=get("acme").tree_id) for one, words in expected.items()}
    integrity.repair()
    assert paths() == CAST


def test_two_roots_with_one_tree_id_are_told_apart(cast: Cast) -> None:
    tree_id = get("acme").tree_id
    locks.lock_all_trees_for_writing()
    Organization.objects.update(tree_id=tree_id)
    assert found() == {"rival": f"is a root, but not the first with tree_id {tree_id}"}
    integrity.repair()
    assert paths() == CAST


def test_a_parent_link_changed_without_its_columns_is_followed(cast: Cast) -> None:
    damage("oslo", parent=get("rome"))
    damage("rival", parent=get("bergen"))
    damage("north", parent=None)
    assert not integrity.find_problems().sound
    integrity.repair()
    assert paths() == {
        "acme", "acme/south", "acme/south/rome", "acme/south/rome/oslo", "north", "north/bergen",
        "north/bergen/rival", "north/bergen/rival/rival_store",
    }  # fmt: skip


def test_nonsense_in_all_columns_is_repaired(cast: Cast) -> None:
    locks.lock_all_trees_for_writing()
    Organization.objects.update(tree_id=7, lft=0, rght=0, level=5)
    integrity.repair()
    assert paths() == CAST


def test_a_repair_writes_only_what_differs_and_keeps_the_order_of_siblings(cast: Cast) -> None:
    damage("north", tree_id=99, level=3)
    before = {one.key: (one.lft, one.rght) for one in Organization.objects.all()}
    versions = row_versions()
    assert integrity.repair() == 1
    assert {one.key: (one.lft, one.rght) for one in Organization.objects.all()} == before
    assert {key for key, version in row_versions().items() if version != versions[key]} == {"north"}
    assert integrity.repair() == 0


def test_a_repair_reads_without_the_tree_lock_and_begins_again_if_the_tree_has_changed(
    transactional_db: None, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction.atomic():
        damage("rome", level=7)
    read, other = nested_set.read_organizations, connection.copy()
    reads: list[bool] = []

    def read_and_interfere(query: str) -> LinkedOrganizations:
        organizations = read(query)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [locks.TREE_LOCK])
            reads.append(cursor.fetchone()[0])
            if len(reads) == 1:
                cursor.execute("BEGIN; SELECT pg_advisory_xact_lock(%s)", [locks.TREE_LOCK])
                cursor.execute("UPDATE orgs_organization SET descendant_count = 5 WHERE key = 'oslo'; COMMIT")
        return organizations

    monkeypatch.setattr(nested_set, "read_organizations", read_and_interfere)
    try:
        assert integrity.repair() == 2
    finally:
        other.close()
    assert reads == [True, True]
    assert paths() == CAST


def test_a_repair_that_others_always_overtake_holds_the_lock_in_the_end(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage("rome", level=7)
    monkeypatch.setattr(integrity, "FINGERPRINT", "SELECT nextval('orgs_organization_id_seq'), 0")
    assert integrity.repair() == 1
    assert paths() == CAST


def row_versions() -> dict[str, str]:
    """Where each row's newest version lies; another place, if it was written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, ctid::text FROM orgs_organization")
        return dict(cursor.fetchall())


def test_a_cycle_is_told_and_left_to_a_person(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    damage("north", parent=get("oslo"))
    damage("rome", level=7)
    with pytest.raises(CommandError):
        call_command("check_tree", "--repair")
    output = capsys.readouterr().out
    for key in ("north", "oslo", "bergen"):
        assert f"{key} (id {get(key).pk}) cannot be reached from any root" in output
    assert "give it another parent, then repair" in output
    assert get("rome").level == 2
    told = integrity.find_problems()
    assert told.counts == {"cycle": 3}
    assert (integrity.repair(), integrity.find_problems()) == (0, told)
    with pytest.raises(CommandError, match="give one organization of each circle another parent"):
        call_command("check_tree")
    damage("north", parent=get("acme"))
    integrity.repair()
    assert paths() == CAST


def test_a_repair_takes_nobody_of_a_circle_into_a_healthy_subtree(cast: Cast) -> None:
    damage("north", parent=get("oslo"))
    tree_operations.create(key="milan", name="Milan", parent_id=cast.south.pk)
    integrity.repair()
    assert keys_under("acme") == {"acme", "south", "rome", "milan"}
    assert keys_under("north") == keys_under("north", "oslo") | {"bergen"} == {"north", "oslo", "bergen"}
    assert get("acme").tree_id != get("north").tree_id != get("rival").tree_id
    assert tree_operations.delete(organization_id=cast.acme.pk, subtree=True) == 4
    assert parents() == {"north": "oslo", "oslo": "north", "bergen": "north", "rival": None, "rival_store": "rival"}


def keys_under(*keys: str) -> set[str]:
    return {one.key for key in keys for one in Organization.objects.under(get(key))}


def parents() -> dict[str, str | None]:
    return dict(Organization.objects.values_list("key", "parent__key"))


@pytest.mark.parametrize("is_repaired", [True, False], ids=["repaired", "as it is"])
@pytest.mark.parametrize("moved", ["north", "oslo", "deep"])
@pytest.mark.parametrize("target", ["acme", "rome", None])
def test_a_move_out_of_a_circle_and_a_repair_leave_a_sound_tree(
    cast: Cast, moved: str, target: str | None, is_repaired: bool
) -> None:
    tree_operations.create(key="deep", name="Deep", parent_id=cast.oslo.pk)
    damage("north", parent=get("deep"))
    if is_repaired:
        integrity.repair()
    links = parents()
    tree_operations.move(organization_id=get(moved).pk, parent_id=get(target).pk if target else None)
    integrity.repair()
    assert len(paths()) == 9
    assert parents() == links | {moved: target}


def test_one_of_a_circle_moves_neither_below_another_of_it_nor_is_it_deleted_alone(cast: Cast) -> None:
    tree_operations.create(key="deep", name="Deep", parent_id=cast.oslo.pk)
    damage("north", parent=get("deep"))
    integrity.repair()
    for key, parent in (("deep", "north"), ("oslo", "bergen"), ("north", "oslo")):
        with pytest.raises((MoveUnderOwnDescendant, OrganizationBelowItself)):
            tree_operations.move(organization_id=get(key).pk, parent_id=get(parent).pk)
    for key in ("oslo", "deep"):
        with pytest.raises(IntegrityError, match="about to lose its parent"), transaction.atomic():
            tree_operations.delete(organization_id=get(key).pk, subtree=True)
    assert tree_operations.delete(organization_id=get("bergen").pk) == 1


def test_an_import_is_refused_where_a_circle_was_before_and_may_mend_it(cast: Cast) -> None:
    damage("north", parent=get("oslo"))
    with pytest.raises(ImportRefused, match="parents form a circle"):
        import_rows("milan,Milan,south")
    integrity.repair()
    import_rows("milan,Milan,south")
    with pytest.raises(ImportRefused, match="parents form a circle"):
        import_rows("turku,Turku,oslo")
    import_rows("oslo,Oslo,acme")
    assert paths() == CAST - {"acme/north", "acme/north/oslo", "acme/north/bergen"} | {
        "acme/south/milan", "acme/oslo", "acme/oslo/north", "acme/oslo/north/bergen"
    }  # fmt: skip


LINKS = st.lists(st.integers(-1, 7), min_size=8, max_size=8)
NUMBERS = st.lists(st.tuples(*[st.integers(0, 5)] * 5), min_size=8, max_size=8)


@given(links=LINKS, numbers=NUMBERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_parents_a_repair_ends_in_nested_sets_and_touches_no_parent(
    cast: Cast, links: list[int], numbers: list[tuple[int, int, int, int, int]]
) -> None:
    ids = sorted(Organization.objects.values_list("pk", flat=True))
    parent_of = {id_: None if link < 0 else ids[link] for id_, link in zip(ids, links, strict=True)}
    locks.lock_all_trees_for_writing()
    with circles_allowed():
        for id_, (tree_id, lft, rght, level, count) in zip(ids, numbers, strict=True):
            Organization.objects.filter(pk=id_).update(
                parent_id=parent_of[id_], tree_id=tree_id, lft=lft, rght=rght, level=level, descendant_count=count
            )
    integrity.repair()
    assert dict(Organization.objects.values_list("pk", "parent_id")) == parent_of
    assert set(integrity.find_problems().counts) <= {"cycle"}
    assert integrity.repair() == 0
    cut = {one.pk for one in Organization.objects.filter(level=0)}
    links_without = {id_: None if id_ in cut else parent for id_, parent in parent_of.items()}
    for one in Organization.objects.all():
        assert {id_ for id_ in ids if one.pk in way_up(id_, links_without)} == set(
            Organization.objects.under(one).values_list("pk", flat=True)
        )
    for id_ in ids:
        assert (id_ in cut) == (parent_of[id_] is None) or id_ in way_up(parent_of[id_], parent_of)
    assert sum(parent_of[id_] is not None for id_ in cut) == circles(parent_of)


def way_up(id_: int | None, parent_of: dict[int, int | None]) -> list[int]:
    found: list[int] = []
    while id_ is not None and id_ not in found:
        found.append(id_)
        id_ = parent_of[id_]
    return found


def circles(parent_of: dict[int, int | None]) -> int:
    """How many circles the links make: of each, the smallest id comes back to itself."""
    round_trips = {frozenset(way_up(id_, parent_of)) for id_ in parent_of if id_ in way_up(parent_of[id_], parent_of)}
    return len(round_trips)


def test_the_command_tells_in_words_and_exits_with_1(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    damage("rome", level=1)
    with pytest.raises(CommandError, match="Run check_tree --repair") as error:
        call_command("check_tree")
    assert error.value.returncode == 1
    assert capsys.readouterr().out == f"rome (id {cast.rome.pk}) has level 1, not 2.\n"
    call_command("check_tree", "--repair")
    assert capsys.readouterr().out.endswith("Repaired the columns of 1 organization.\n")
    call_command("check_tree")


def test_the_command_tells_in_json(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    damage("rome", level=1)
    problem = {"kind": "level", "organizationId": cast.rome.pk, "key": "rome", "words": "has level 1, not 2"}
    call_command("check_tree", "--repair", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "sound": True,
        "organizations": 8,
        "counts": {"level": 1},
        "problems": [problem],
        "repairedOrganizations": 1,
        "countsAfterRepair": {},
    }


def test_many_problems_are_counted_and_the_first_told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "MAX_PROBLEMS_PER_KIND", 2)
    locks.lock_all_trees_for_writing()
    Organization.objects.update(level=5)
    findings = integrity.find_problems()
    assert findings.counts == {"level": 8}
    assert len(findings.problems) == 2
