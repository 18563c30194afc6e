"""What an import does to the tree: create, rename, move, leave alone."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from orgs.errors import ImportRefused
from orgs.importing import importer
from orgs.tests.trees import get, import_bytes, import_rows, paths
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization
from orgs.tree.signals import Placement, organizations_placed

CAST = {
    "acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome",
    "rival", "rival/rival_store",
}  # fmt: skip


@pytest.fixture
def placements() -> Iterator[list[Placement]]:
    """What the tree tells about new places from now on."""
    told: list[Placement] = []

    def listen(*, placements: list[Placement], **_: object) -> None:
        told.extend(placements)

    organizations_placed.connect(listen, weak=False, dispatch_uid="listening test")
    yield told
    organizations_placed.disconnect(dispatch_uid="listening test")


def test_rows_may_come_in_any_order(db: None) -> None:
    report = import_rows("c,C,b", "d,D,a", "b,B,a", "a,A,", "z,Z,")
    assert paths() == {"a", "a/b", "a/b/c", "a/d", "z"}
    assert report[:5] == (5, 5, 0, 0, 0)


def test_columns_may_come_in_any_order_and_with_a_byte_order_mark(db: None) -> None:
    import_bytes("\ufeffname,parent_key,key\r\nÄpfel & Birnen,,a\r\n\r\nB,a,b\r\n".encode())
    assert paths() == {"a", "a/b"}
    assert get("a").name == "Äpfel & Birnen"


@pytest.mark.parametrize(
    "name", ["Smith, Jones", "two\nlines", 'so "called"', "tab\tand \\n back\\slash", "\\N", "\\."]
)
def test_names_arrive_as_they_are(db: None, name: str) -> None:
    quoted = name.replace('"', '""')
    assert import_rows(f'a,"{quoted}",').created == 1
    assert get("a").name == name
    assert import_rows(f'a,"{quoted}",').unchanged == 1


def test_keys_arrive_as_they_are(db: None) -> None:
    import_rows('"a\\tb, ""c"" \\N",A,', 'b,B,"a\\tb, ""c"" \\N"', "\\.,C,\\N", "\\N,D,")
    assert paths() == {'a\\tb, "c" \\N', 'a\\tb, "c" \\N/b', "\\N", "\\N/\\."}


def test_white_space_around_a_name_is_dropped(db: None) -> None:
    import_rows("a,  A ,")
    assert get("a").name == "A"
    assert import_rows("a,A  ,").unchanged == 1


def test_the_same_file_again_changes_nothing(cast: Cast) -> None:
    rows = ("north,North,acme", "new,New,oslo", "newer,Newer,new")
    import_rows(*rows)
    before = set(Organization.objects.values_list())
    report = import_rows(*rows)
    assert report[:5] == (3, 0, 0, 0, 3)
    assert set(Organization.objects.values_list()) == before


def test_new_names_and_parents_are_applied_and_others_stay(cast: Cast) -> None:
    untouched = Organization.objects.filter(key__in=["acme", "bergen", "rival"]).values_list("key", "updated_at")
    before = dict(untouched)
    report = import_rows("north,Nord,acme", "oslo,Oslo,south", "rome,Roma,oslo", "south,South,acme", "rival,Rival,")
    assert report[:5] == (5, 0, 2, 2, 2)
    assert paths() == CAST - {"acme/north/oslo", "acme/south/rome"} | {"acme/south/oslo", "acme/south/oslo/rome"}
    assert (get("north").name, get("rome").name) == ("Nord", "Roma")
    assert dict(untouched.all()) == before
    assert get("rome").updated_at > cast.rome.updated_at


def test_roots_move_below_others_and_children_become_roots(cast: Cast) -> None:
    import_rows("rival,Rival,oslo", "north,North,", "acme,Acme,rival_store")
    assert paths() == {
        "north", "north/oslo", "north/bergen", "north/oslo/rival", "north/oslo/rival/rival_store",
        "north/oslo/rival/rival_store/acme", "north/oslo/rival/rival_store/acme/south",
        "north/oslo/rival/rival_store/acme/south/rome",
    }  # fmt: skip


def test_an_organization_changes_places_with_its_child(cast: Cast) -> None:
    import_rows("north,North,", "acme,Acme,north", "oslo,Oslo,acme")
    assert {"north", "north/acme", "north/acme/oslo", "north/bergen", "north/acme/south/rome"} <= paths()


def test_existing_ones_move_below_new_ones(cast: Cast) -> None:
    import_rows("oslo,Oslo,east", "east,East,world", "world,World,", "acme,Acme,world")
    assert {"world/east/oslo", "world/acme/north/bergen", "world/acme/south/rome", "rival/rival_store"} <= paths()


def test_siblings_keep_their_order_and_new_ones_follow_in_that_of_the_file(cast: Cast) -> None:
    import_rows("zagreb,Zagreb,north", "athens,Athens,north")
    assert [one.key for one in get("north").get_children()] == ["oslo", "bergen", "zagreb", "athens"]


def test_new_ids_are_higher_than_all_others_and_adjoin_in_a_subtree(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('orgs_organization', 'id'), 1)")  # behind what exists
    newest = max(Organization.objects.values_list("id", flat=True))
    import_rows("a1,A,a", "b1,B,b", "a2,A,a1", "b,B,acme", "a,A,acme", "b2,B,b1")
    first = newest + 1
    created = Organization.objects.filter(pk__gt=newest).order_by("pk").values_list("key", "pk")
    assert list(created) == [(key, first + n) for n, key in enumerate(["b", "b1", "b2", "a", "a1", "a2"])]
    assert tree_operations.create(name="Next", key="next").pk == first + 6


def test_listeners_hear_of_the_topmost_created_and_of_each_moved(cast: Cast, placements: list[Placement]) -> None:
    import_rows(
        "new,New,north", "newer,Newer,new", "root,Root,", "north,North,rome", "oslo,Oslo,newer", "rome,Rome,acme"
    )
    acme, south = cast.acme.pk, cast.south.pk
    assert [(one.organization_id, one.parent_id, one.former_ancestor_ids) for one in placements] == [
        (get("new").pk, cast.north.pk, None),
        (cast.rome.pk, acme, (acme, south)),
        (cast.north.pk, cast.rome.pk, (acme,)),
        (cast.oslo.pk, get("newer").pk, (acme, cast.north.pk)),
    ]


def test_nobody_hears_of_renames(cast: Cast, placements: list[Placement]) -> None:
    import_rows("north,Nord,acme")
    assert placements == []


def test_a_damaged_tree_is_not_made_worse(cast: Cast) -> None:
    locks.lock_all_trees_for_writing()
    Organization.objects.filter(key="north").update(tree_id=99)
    with pytest.raises(ImportRefused, match="check_tree --repair"):
        import_rows("new,New,north")


def test_progress_is_told_step_by_step(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orgs.importing.placement.WRITE_BATCH_SIZE", 3)
    told: list[tuple[str, int, int | None]] = []
    content = "key,name,parent_key\n" + "".join(f"k{n},N,{f'k{n // 2}' if n > 1 else ''}\n" for n in range(1, 11))
    importer.import_organizations(io.BytesIO(content.encode()), progress=lambda *step: told.append(step))
    assert len(paths()) == 10
    assert told == [
        (importer.READING, len(content), None),
        (importer.COMPARING, 0, None),
        (importer.COMPUTING, 0, None),
        *((importer.WRITING, done, 10) for done in (0, 3, 6, 9, 10)),
        (importer.TAKING_OVER, 0, None),
    ]


def test_the_number_of_queries_does_not_grow_with_the_file(db: None) -> None:
    def queries(count: int, prefix: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            import_rows(*(f"{prefix}{n},N,{f'{prefix}{n // 3}' if n else ''}" for n in range(count)))
        return len(captured)

    assert queries(10, "a") == queries(900, "b")
