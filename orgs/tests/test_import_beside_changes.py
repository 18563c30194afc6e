"""An import beside others who change the trees: which locks it takes and when, and when it compares again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from conftest import Cast
from flagsite.core import actor
from orgs.errors import ImportRefused
from orgs.importing import importer, staging
from orgs.importing.importer import COMPUTING, WRITING, ImportReport
from orgs.importing.options import ImportOptions
from orgs.tests.trees import get, paths
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

Change = Callable[[], object]

HELD = """
SELECT COALESCE(array_agg(objid::int ORDER BY objid), '{}') FROM pg_locks
 WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND mode = 'ExclusiveLock' AND classid = %s AND objsubid = 2
"""
HOLDS_ALL = """
SELECT count(*) > 0 FROM pg_locks
 WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND mode = 'ExclusiveLock' AND objid = %s AND objsubid = 1
"""


@pytest.fixture
def elsewhere(transactional_db: None, cast: Cast) -> Iterator[Callable[[Change], object]]:
    """Carry out a change to its end on a connection of its own."""

    def run(change: Change) -> object:
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                return change()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield lambda change: pool.submit(run, change).result(timeout=20)


def import_beside(
    *rows: str,
    when_computing: Change = lambda: None,
    when_known: Change = lambda: None,
    when_writing: Change = lambda: None,
    **options: object,
) -> ImportReport:
    """Import rows; call functions when the import begins to compute, when it knows all changes, and when it writes."""
    steps = {COMPUTING: when_computing, WRITING: when_writing}
    content = "\n".join(["key,name,parent_key", *rows, ""]).encode()
    own = {name: options.pop(name) for name in ("on_locked", "on_wait", "dry_run") if name in options}
    return importer.import_organizations(
        io.BytesIO(content),
        options=ImportOptions(**{"move_between_trees": True, **options}),
        progress=lambda step, *_: steps.get(step, lambda: None)(),
        on_changes=when_known,
        **own,
    )


def once(change: Change) -> Change:
    """The change, the first time that it is called."""
    left = [change]
    return lambda: left.pop()() if left else None


def held_trees() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(HELD, [locks.TREE_LOCK])
        return list(cursor.fetchone()[0])


def holds_all_trees() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(HOLDS_ALL, [locks.TREE_LOCK])
        return bool(cursor.fetchone()[0])


def create(key: str, parent: str) -> Change:
    return lambda: tree_operations.create(name=key.title(), key=key, parent_id=get(parent).pk)


def move(key: str, parent: str | None) -> Change:
    return lambda: tree_operations.move(organization_id=get(key).pk, parent_id=get(parent).pk if parent else None)


def test_an_import_locks_only_the_trees_that_it_changes_and_only_to_write(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    held: dict[str, list[int]] = {}
    import_beside(
        "new,New,oslo",
        when_computing=lambda: held.update(computing=held_trees()),
        when_known=lambda: held.update(known=held_trees()),
        on_locked=lambda: held.update(locked=held_trees()),
    )
    assert held == {"computing": [], "known": [], "locked": [get("acme").tree_id]}


def test_others_change_another_tree_while_an_import_holds_its_own(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    import_beside("new,New,oslo", on_locked=lambda: elsewhere(create("other", "rival")))
    assert {"acme/north/oslo/new", "rival/other"} <= paths()


def test_an_import_of_new_trees_locks_none(elsewhere: Callable[[Change], object], cast: Cast) -> None:
    held: list[list[int]] = []
    import_beside("a,A,", "b,B,a", on_locked=lambda: held.append(held_trees()))
    assert held == [[]]
    assert {"a", "a/b"} <= paths()


def test_a_rename_locks_no_tree(elsewhere: Callable[[Change], object], cast: Cast) -> None:
    held: list[list[int]] = []
    import_beside("oslo,Christiania,north", on_locked=lambda: held.append(held_trees()))
    assert (held, get("oslo").name) == ([[]], "Christiania")


def test_a_dry_run_locks_nothing(elsewhere: Callable[[Change], object], cast: Cast) -> None:
    called: list[bool] = []
    with transaction.atomic():
        report = import_beside("new,New,oslo", dry_run=True, on_locked=lambda: called.append(True))
        assert (report.created, called, held_trees()) == (1, [], [])


INTERFERING: dict[str, tuple[Change, set[str]]] = {
    "a creation beside": (create("other", "oslo"), {"acme/north/oslo/new", "acme/north/oslo/other"}),
    "a move of the parent within its tree": (move("oslo", "south"), {"acme/south/oslo/new"}),
    "a move of the parent to another tree": (move("oslo", "rival"), {"rival/oslo/new"}),
    "the parent's tree goes below another": (move("acme", "rival_store"), {"rival/rival_store/acme/north/oslo/new"}),
    "the parent becomes a root": (move("oslo", None), {"oslo/new"}),
    "a deletion beside": (lambda: get("bergen").delete(), {"acme/north/oslo/new"}),
    "somebody creates the same": (create("new", "oslo"), {"acme/north/oslo/new"}),
    "somebody creates the same in another tree": (create("new", "rival"), {"acme/north/oslo/new"}),
}


@pytest.mark.parametrize(("change", "expected"), INTERFERING.values(), ids=INTERFERING)
def test_an_import_compares_again_if_others_have_changed_what_it_relied_on(
    elsewhere: Callable[[Change], object], change: Change, expected: set[str]
) -> None:
    import_beside("new,New,oslo", when_known=once(lambda: elsewhere(change)))
    assert expected <= paths()
    assert Organization.objects.filter(key="new").count() == 1


def test_a_key_that_others_take_after_the_comparison_is_found_before_the_import_ends(
    elsewhere: Callable[[Change], object],
) -> None:
    """The check under the lock cannot see it, because nobody has locked the other tree."""
    taken = once(lambda: elsewhere(create("new", "rival")))
    real = importer.placement.write_created

    def write(*arguments: object, **named: object) -> None:
        taken()
        real(*arguments, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importer.placement, "write_created", write)
        report = import_beside("new,New,oslo", "newer,Newer,new")
    assert (report.created, report.moved) == (1, 1)
    assert {"acme/north/oslo/new/newer"} <= paths()


def test_an_organization_of_the_file_that_others_rename_meanwhile_gets_the_name_of_the_file(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    """It is in a tree that the import does not change otherwise."""
    store = cast.rival_store
    rename = once(lambda: elsewhere(lambda: tree_operations.rename(organization_id=store.pk, name="Shop")))
    report = import_beside("new,New,oslo", f"rival_store,{store.name},rival", when_known=rename)
    assert (report.created, report.renamed, get("rival_store").name) == (1, 1, store.name)


def test_a_file_is_refused_only_for_what_is_still_so(elsewhere: Callable[[Change], object], cast: Cast) -> None:
    """Between the comparison and the reading of the trees, north goes below oslo's former place."""
    move_out = once(lambda: elsewhere(move("oslo", "rival")))
    report = import_beside("north,North,oslo", when_computing=move_out)
    assert report.moved == 1
    assert "rival/oslo/north" in paths()


def test_a_refusal_for_what_somebody_has_put_right_meanwhile_does_not_count(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    report = import_beside("new,New,missing", when_computing=once(lambda: elsewhere(create("missing", "rival"))))
    assert report.created == 1
    assert "rival/missing/new" in paths()


def test_a_key_that_somebody_creates_in_another_tree_meanwhile_is_not_moved_without_permission(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    change = once(lambda: elsewhere(create("new", "rival")))
    with pytest.raises(ImportRefused, match="would move to another tree"):
        import_beside("new,New,oslo", when_known=change, move_between_trees=False)
    assert "rival/new" in paths()


@pytest.mark.parametrize(("parent", "deleted"), [("oslo", "oslo"), ("rival_store", "rival")])
def test_a_parent_that_somebody_deletes_meanwhile_refuses_the_file(
    elsewhere: Callable[[Change], object], cast: Cast, parent: str, deleted: str
) -> None:
    with pytest.raises(ImportRefused):
        import_beside(f"new,New,{parent}", when_known=once(lambda: elsewhere(lambda: get(deleted).delete())))
    assert not Organization.objects.filter(key="new").exists()


def test_a_change_of_another_tree_lets_no_import_compare_again(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    attempts: list[bool] = []

    def known() -> None:
        attempts.append(True)
        elsewhere(create("other", "rival"))

    import_beside("new,New,oslo", when_known=known)
    assert attempts == [True]
    assert {"acme/north/oslo/new", "rival/other"} <= paths()


def test_a_dry_run_tells_what_is_true_when_it_ends(elsewhere: Callable[[Change], object], cast: Cast) -> None:
    report = import_beside("oslo,Oslo,south", when_known=once(lambda: elsewhere(move("oslo", "rome"))), dry_run=True)
    [line] = report.changes
    assert (line.key, line.former_parent_key) == ("oslo", "rome")


def test_nobody_moves_or_renames_an_organization_that_an_import_is_about_to_rename(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    """Its tree is not locked, but its row is."""
    held: list[bool] = []
    real = staging.is_still_resolved

    def check(**named: Any) -> bool:
        def try_to_lock() -> None:
            with transaction.atomic():
                free = Organization.objects.select_for_update(skip_locked=True).filter(pk=cast.oslo.pk)
                held.append(not free.exists())

        elsewhere(try_to_lock)
        return real(**named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importer.staging, "is_still_resolved", check)
        import_beside("oslo,Christiania,north")
    assert (held, get("oslo").name) == ([True], "Christiania")


def test_two_imports_of_the_same_keys_in_different_trees_both_end(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    """Each waits for a key that the other has created, until PostgreSQL ends one attempt, which compares again."""
    both_wrote = Barrier(2, timeout=20)

    def run(parent: str, keys: str) -> ImportReport:
        steps = [both_wrote.wait, lambda: None]  # before it writes the first key, and before the second, from the end
        rows = [f"{key},{key},{parent}" for key in keys]
        with actor.acting("worker", actor=actor.SYSTEM):
            try:
                return import_beside(*rows, when_writing=lambda: steps.pop()() if steps else None)
            finally:
                connection.close()

    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(2) as pool:
        patched.setattr(importer.placement, "WRITE_BATCH_SIZE", 1)
        reports = [one.result(timeout=30) for one in (pool.submit(run, "oslo", "ab"), pool.submit(run, "rival", "ba"))]
    assert sorted((report.created, report.moved) for report in reports) == [(0, 2), (2, 0)]
    assert Organization.objects.filter(key__in=["a", "b"]).count() == 2


def test_a_file_with_a_problem_is_refused_without_a_lock(elsewhere: Callable[[Change], object]) -> None:
    with transaction.atomic():
        with pytest.raises(ImportRefused, match="1 problem"):
            import_beside("new,New,nowhere")
        assert (held_trees(), holds_all_trees()) == ([], False)


def test_an_import_that_others_always_overtake_locks_before_it_compares(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    attempts: list[tuple[list[int], bool]] = []

    def overtake() -> None:
        attempts.append((held_trees(), holds_all_trees()))
        if not attempts[-1][0]:
            elsewhere(create(f"other{len(attempts)}", "oslo"))

    import_beside("new,New,oslo", when_known=overtake)
    tree_id = get("acme").tree_id
    assert attempts == [([], False)] * importer.ATTEMPTS_WITHOUT_LOCKS + [([tree_id], False)]
    assert {"acme/north/oslo/new", "acme/north/oslo/other3"} <= paths()


def test_an_import_whose_trees_others_always_change_locks_all_trees_in_the_end(
    elsewhere: Callable[[Change], object], cast: Cast
) -> None:
    targets = ["rival", "south", "rival", "south"]
    attempts: list[bool] = []

    def take_away() -> None:
        attempts.append(holds_all_trees())
        if not attempts[-1] and "oslo" not in held_keys():
            elsewhere(move("oslo", targets[len(attempts) - 1]))

    def held_keys() -> set[str]:
        return set(Organization.objects.filter(tree_id__in=held_trees()).values_list("key", flat=True))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importer.placement, "are_trees_unchanged", lambda seen: False)
        import_beside("new,New,oslo", when_known=take_away)
    assert attempts == [False] * (importer.ATTEMPTS_WITHOUT_LOCKS + 1) + [True]
    assert len([path for path in paths() if path.endswith("oslo/new")]) == 1


def test_an_import_that_waits_for_a_tree_asks_whether_it_should_still_run(
    elsewhere: Callable[[Change], object], cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "CHECK_SECONDS", 0.01)
    other = connection.copy()
    answers = ["", "", "cancelled"]

    def should_still_run() -> None:
        if answers.pop(0):
            raise InterruptedError

    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN; SELECT orgs_lock_trees(ARRAY[%s], is_exclusive => TRUE)", [cast.oslo.pk])
            with pytest.raises(InterruptedError):
                import_beside("new,New,oslo", on_wait=should_still_run)
    finally:
        other.close()
    assert answers == []
    assert not Organization.objects.filter(key="new").exists()
