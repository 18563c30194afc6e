"""Paths for people: whole where they are short, and with their ends where they are long."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from orgs.tests.trees import get, import_rows
from orgs.tree.paths import LOWEST, folded_paths_of, path_names_of

pytestmark = pytest.mark.django_db


def chain(levels: int) -> None:
    import_rows(*(f"c{level},L{level},{f'c{level - 1}' if level else ''}" for level in range(levels)))


def names(key: str, top: str | None = None) -> list[str]:
    return path_names_of([get(key).pk], top_id=get(top).pk if top else None)[get(key).pk]


def test_a_path_of_nine_organizations_is_shown_whole() -> None:
    chain(LOWEST + 1)
    assert names("c0") == ["L0"]
    assert names("c7") == [f"L{level}" for level in range(8)]
    assert names("c8") == [f"L{level}" for level in range(9)]


def test_a_longer_path_has_its_top_its_lower_end_and_the_number_between() -> None:
    chain(30)
    assert names("c29") == ["L0", "…", *(f"L{level}" for level in range(22, 30))]
    path = folded_paths_of([get("c29").pk])[get("c29").pk]
    assert (path.top, path.left_out) == ((get("c0").pk, "L0"), 21)
    assert names("c9") == ["L0", "…", *(f"L{level}" for level in range(2, 10))]


def test_a_path_begins_at_the_top_of_the_scope() -> None:
    chain(30)
    assert names("c29", top="c5") == ["L5", "…", *(f"L{level}" for level in range(22, 30))]
    assert names("c29", top="c21") == [f"L{level}" for level in range(21, 30)]
    assert names("c29", top="c22") == [f"L{level}" for level in range(22, 30)]
    assert names("c29", top="c29") == ["L29"]


def test_several_paths_come_with_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    chain(30)
    import_rows("other,Other,")
    ids = {key: get(key).pk for key in ("c3", "c29", "other")}
    with django_assert_num_queries(1):
        found = path_names_of([*ids.values(), 987_654_321])
    assert found == {
        ids["c3"]: ["L0", "L1", "L2", "L3"],
        ids["c29"]: ["L0", "…", *(f"L{level}" for level in range(22, 30))],
        ids["other"]: ["Other"],
    }
