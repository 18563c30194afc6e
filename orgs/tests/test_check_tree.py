"""check_tree: what it finds, in words, and what it repairs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from conftest import Cast
from orgs import checking, locks
from orgs.models import Organization
from orgs.tests.trees import get, paths

CAST = {
    "acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome",
    "rival", "rival/rival_store",
}  # fmt: skip


def damage(key: str, **columns: Any) -> None:
    """Change columns behind everybody's back."""
    locks.lock_tree_for_writing()
    assert Organization.objects.filter(key=key).update(**columns) == 1


def found() -> dict[str, str]:
    """The words about each organization, by key."""
    words: dict[str, str] = {}
    for problem in checking.find_problems().problems:
        words[problem.key] = "; ".join([*filter(None, [words.get(problem.key)]), problem.words])
    return words


def test_nothing_is_found_in_a_sound_tree(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_tree")
    assert capsys.readouterr().out == "The tree is sound: 8 organizations.\n"


def test_an_empty_tree_is_sound(db: None) -> None:
    assert checking.find_problems().sound


@pytest.mark.parametrize(
    ("key", "columns", "expected"),
    [
        ("oslo", {"lft": 2}, {"oslo": "has rght 4, not 3; has lft 2, not 3"}),
        ("oslo", {"rght": 5}, {"oslo": "has rght 5, not 4", "bergen": "has lft 5, not 6"}),
        ("bergen", {"rght": 8}, {"bergen": "has rght 8, not 6", "north": "has rght 7, not 9"}),
        ("rome", {"level": 1}, {"rome": "has level 1, not 2"}),
        ("south", {"level": 0}, {"south": "has level 0, not 1", "rome": "has level 2, not 1"}),
        ("rome", {"tree_id": 99}, {"rome": "has tree_id 99, but its parent {tree}"}),
        ("acme", {"lft": 2}, {"acme": "has lft 2, not 1", "north": "has lft 2, not 3"}),
        ("acme", {"rght": 14}, {"acme": "has rght 14, not 12"}),  # a gap makes the subtree look bigger than it is
    ],
)
def test_what_is_wrong_is_told_and_repaired(
    cast: Cast, key: str, columns: dict[str, int], expected: dict[str, str]
) -> None:
    damage(key, **columns)
    assert found() == {one: words.format(tree=get("acme").tree_id) for one, words in expected.items()}
    checking.repair()
    assert paths() == CAST


def test_two_roots_with_one_tree_id_are_told_apart(cast: Cast) -> None:
    tree_id = get("acme").tree_id
    locks.lock_tree_for_writing()
    Organization.objects.update(tree_id=tree_id)
    assert found() == {"rival": f"is a root, but not the first with tree_id {tree_id}"}
    checking.repair()
    assert paths() == CAST


def test_a_parent_link_changed_without_its_columns_is_followed(cast: Cast) -> None:
    damage("oslo", parent=get("rome"))
    damage("rival", parent=get("bergen"))
    damage("north", parent=None)
    assert not checking.find_problems().sound
    checking.repair()
    assert paths() == {
        "acme", "acme/south", "acme/south/rome", "acme/south/rome/oslo", "north", "north/bergen",
        "north/bergen/rival", "north/bergen/rival/rival_store",
    }  # fmt: skip


def test_nonsense_in_all_columns_is_repaired(cast: Cast) -> None:
    locks.lock_tree_for_writing()
    Organization.objects.update(tree_id=7, lft=0, rght=0, level=5)
    checking.repair()
    assert paths() == CAST


def test_a_repair_writes_only_what_differs_and_keeps_the_order_of_siblings(cast: Cast) -> None:
    damage("north", tree_id=99, level=3)
    before = {one.key: (one.lft, one.rght) for one in Organization.objects.all()}
    versions = row_versions()
    assert checking.repair() == 1
    assert {one.key: (one.lft, one.rght) for one in Organization.objects.all()} == before
    assert {key for key, version in row_versions().items() if version != versions[key]} == {"north"}
    assert checking.repair() == 0


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
    damage("north", parent=get("acme"))
    checking.repair()
    assert paths() == CAST


def test_the_command_tells_in_words_and_exits_with_1(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    damage("rome", level=1)
    with pytest.raises(CommandError, match="check_tree --repair makes it so") as error:
        call_command("check_tree")
    assert error.value.returncode == 1
    assert capsys.readouterr().out == f"rome (id {cast.rome.pk}) has level 1, not 2.\n"
    call_command("check_tree", "--repair")
    assert capsys.readouterr().out.endswith("Repaired: the columns of 1 organizations were written.\n")
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
    monkeypatch.setattr(checking, "MOST_SHOWN", 2)
    locks.lock_tree_for_writing()
    Organization.objects.update(level=5)
    findings = checking.find_problems()
    assert findings.counts == {"level": 8}
    assert len(findings.problems) == 2
