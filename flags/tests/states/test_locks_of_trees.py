"""One lock for each tree: who waits for whom, and which rows the database lets a transaction change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from conftest import Cast
from flags.states.set_flag import set_flag
from jobs.tests.races.threads import Background
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import hold_visible_organization
from orgs.errors import DuplicateOrganizationKey, OrganizationNotFound
from orgs.tests.trees import get, import_rows, paths
from orgs.tree import integrity, locks, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)


def one(query: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone()[0]


def refused(change: Callable[[], object]) -> bool:
    try:
        with transaction.atomic():
            change()
    except IntegrityError as error:
        return "without the tree lock" in str(error)
    return False


def test_sets_creations_and_moves_go_on_while_another_tree_is_held(cast: Cast) -> None:
    with transaction.atomic():
        locks.lock_trees_for_writing(cast.acme.pk)
        Background(lambda: set_flag(organization_id=cast.rival_store.pk, flag_key="f", enabled=True)).result()
        Background(lambda: set_flag(organization_id=cast.rival.pk, flag_key="f", enabled=True)).result()
        Background(lambda: tree_operations.create(key="shop", name="Shop", parent_id=cast.rival.pk)).result()
        Background(lambda: tree_operations.move(organization_id=get("shop").pk, parent_id=None)).result()
        Background(lambda: tree_operations.delete(organization_id=get("shop").pk)).result()
    assert integrity.find_problems().sound


@pytest.mark.parametrize("held", ["former", "new"])
def test_a_move_between_trees_waits_for_both(cast: Cast, held: str) -> None:
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.oslo.pk if held == "former" else cast.rival.pk)
        late = Background(lambda: tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk))
        late.wait_until_blocked()
    late.result()
    assert "rival/oslo" in paths()


def test_opposite_moves_between_two_trees_do_not_block_each_other(cast: Cast) -> None:
    for _ in range(5):
        there = Background(lambda: tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk))
        back = Background(lambda: tree_operations.move(organization_id=cast.rival_store.pk, parent_id=cast.acme.pk))
        there.result()
        back.result()
        assert {"rival/north/oslo", "acme/rival_store"} <= paths()
        tree_operations.move(organization_id=cast.north.pk, parent_id=cast.acme.pk)
        tree_operations.move(organization_id=cast.rival_store.pk, parent_id=cast.rival.pk)
    assert integrity.find_problems().sound


def test_trees_are_locked_in_ascending_order_whatever_the_order_of_the_names(cast: Cast) -> None:
    """The other transaction holds the higher tree, so a function in the order of the names would hold the lower one."""
    with transaction.atomic():
        locks.lock_trees_for_writing(cast.acme.pk)
        both = Background(lambda: hold_for_writing(cast.rival.pk, cast.acme.pk))
        both.wait_until_blocked()
        Background(lambda: hold_for_writing(cast.rival.pk)).result()
    both.result()


def hold_for_writing(*organizations: int) -> None:
    with transaction.atomic():
        locks.lock_trees_for_writing(*organizations)


def test_who_waits_for_an_organization_follows_it_into_its_new_tree(cast: Cast) -> None:
    def late() -> tuple[bool, bool]:
        with transaction.atomic():
            locks.lock_trees_for_writing(cast.oslo.pk)
            return tuple(one("SELECT orgs_locked_trees() @> %s", get(key).tree_id) for key in ("rival", "acme"))

    with transaction.atomic():
        locks.lock_trees_for_writing(cast.oslo.pk, cast.rival.pk)
        waiting = Background(late)
        waiting.wait_until_blocked()
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert waiting.result() == (True, False)


def test_the_lock_of_a_former_tree_is_released_at_once(cast: Cast) -> None:
    """The late one follows oslo into rival's tree, which somebody else has by now. Acme's tree is free meanwhile."""
    done = threading.Event()

    def hold_rival_until_done() -> None:
        with transaction.atomic():
            locks.lock_trees_for_writing(cast.rival.pk)
            assert done.wait(10)

    with transaction.atomic():
        locks.lock_trees_for_writing(cast.oslo.pk, cast.rival.pk)
        holder = Background(hold_rival_until_done)
        holder.wait_until_blocked()
        late = Background(lambda: hold_for_writing(cast.oslo.pk))
        late.wait_until_blocked()
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    try:
        late.wait_until_blocked_by(holder)
        Background(lambda: hold_for_writing(cast.acme.pk)).result()
    finally:
        done.set()
    holder.result()
    late.result()


def test_roots_are_created_at_once_and_get_trees_of_their_own(cast: Cast) -> None:
    with transaction.atomic():
        first = tree_operations.create(key="first", name="First")
        second = Background(lambda: tree_operations.create(key="second", name="Second")).result()
        tree_operations.create(key="below", name="Below", parent_id=first.pk)
    assert len({get(key).tree_id for key in ("acme", "rival", "first", "second")}) == 4
    assert second.tree_id != first.tree_id
    assert integrity.find_problems().sound


def test_of_two_who_create_the_same_key_in_two_trees_one_hears_that_it_is_taken(cast: Cast) -> None:
    with transaction.atomic():
        tree_operations.create(key="same", name="Same", parent_id=cast.acme.pk)
        late = Background(lambda: tree_operations.create(key="same", name="Same", parent_id=cast.rival.pk))
        late.wait_until_blocked()
    with pytest.raises(DuplicateOrganizationKey):
        late.result()
    assert integrity.find_problems().sound


def test_a_new_tree_gets_no_number_that_exists(cast: Cast) -> None:
    taken = one("SELECT nextval('orgs_tree_number')") + 1
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        Organization.objects.filter(tree_id=cast.rival.tree_id).update(tree_id=taken)
    assert tree_operations.create(key="new", name="New").tree_id > taken


def test_an_import_gives_each_new_root_a_tree_of_its_own(cast: Cast) -> None:
    import_rows("a,A,", "b,B,a", "c,C,", "d,D,c", "e,E,")
    assert len({get(key).tree_id for key in ("acme", "rival", "a", "c", "e")}) == 5
    assert {"a/b", "c/d", "e"} <= paths()


WRONG_TREE: dict[str, Callable[[Cast], object]] = {
    "an insert": lambda cast: Organization.objects.bulk_create(
        [Organization(key="n", name="N", tree_id=cast.acme.tree_id, lft=1, rght=2, level=0, descendant_count=0)]
    ),
    "a deletion": lambda cast: Organization.objects.filter(pk=cast.oslo.pk)._raw_delete("default"),
    "a change of numbers": lambda cast: Organization.objects.filter(pk=cast.oslo.pk).update(lft=99),
    "a change into a tree": lambda cast: Organization.objects.filter(pk=cast.rival_store.pk).update(
        tree_id=cast.acme.tree_id
    ),
    "a change out of a tree": lambda cast: Organization.objects.filter(pk=cast.oslo.pk).update(
        tree_id=cast.rival.tree_id
    ),
    "a parent in a tree": lambda cast: Organization.objects.filter(pk=cast.rival_store.pk).update(parent=cast.acme),
}


@pytest.mark.parametrize("change", WRONG_TREE.values(), ids=WRONG_TREE)
def test_the_database_refuses_changes_of_a_tree_while_another_is_locked(
    cast: Cast, change: Callable[[Cast], object]
) -> None:
    with transaction.atomic():
        locks.lock_trees_for_writing(cast.rival.pk)
        assert refused(lambda: change(cast))
    with transaction.atomic():
        locks.lock_trees_for_writing(cast.acme.pk, cast.rival.pk)
        assert not refused(lambda: change(cast))
        transaction.set_rollback(True)


def test_the_rollback_to_a_savepoint_takes_the_permission_back(cast: Cast) -> None:
    with transaction.atomic():
        with transaction.atomic():
            locks.lock_trees_for_writing(cast.acme.pk)
            transaction.set_rollback(True)
        assert refused(lambda: Organization.objects.filter(pk=cast.oslo.pk).update(lft=99))


def test_a_process_of_the_release_before_changes_trees_under_the_lock_of_all(cast: Cast) -> None:
    """It also keeps it, though it was the session's, until the end of the transaction."""
    with transaction.atomic():
        one("SELECT pg_advisory_lock(%s)", locks.TREE_LOCK)
        try:
            assert not refused(lambda: Organization.objects.filter(pk=cast.oslo.pk).update(lft=99))
            Organization.objects.filter(pk=cast.oslo.pk).update(lft=98)
        finally:
            one("SELECT pg_advisory_unlock(%s)", locks.TREE_LOCK)
        late = Background(lambda: hold_for_writing(cast.oslo.pk))
        late.wait_until_blocked()
        transaction.set_rollback(True)
    late.result()


def test_more_trees_than_locks_become_one_lock_of_all(cast: Cast) -> None:
    roots = [tree_operations.create(key=f"r{number}", name="R").pk for number in range(65)]
    with transaction.atomic():
        locks.lock_trees_for_writing(*roots)
        assert one("SELECT orgs_locked_trees()::text") == "{(,)}"
        assert one("SHOW lock_timeout") == "0"
    with transaction.atomic():
        assert one("SELECT orgs_lock_trees(%s::bigint[], '{}', TRUE, 900)", roots) is None
        assert one("SHOW lock_timeout") == "0"
        assert one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == 0


def test_two_who_hold_a_tree_and_want_all_do_not_wait_for_each_other_for_ever(cast: Cast) -> None:
    def both() -> None:
        with transaction.atomic():
            locks.lock_trees_for_reading(cast.rival.pk)
            locks.lock_all_trees_for_writing()

    with pytest.raises(OperationalError, match="deadlock"):
        with transaction.atomic():
            locks.lock_trees_for_reading(cast.acme.pk)
            other = Background(both)
            other.wait_until_blocked()
            locks.lock_all_trees_for_writing()
        other.result()
    other._thread.join(10)


def test_who_waits_for_all_trees_lets_others_go_on_in_between(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause of the waiting one lets a creation in another tree happen."""
    created: list[str] = []

    def create() -> None:
        key = f"n{len(created)}"
        creation = Background(lambda: tree_operations.create(key=key, name="N", parent_id=cast.rival.pk))
        created.append(creation.result().key)
        if len(created) == 3:
            raise InterruptedError

    with transaction.atomic():
        locks.lock_trees_for_reading(cast.acme.pk)
        monkeypatch.setattr(locks, "FIRST_TRY_SECONDS", 0.01)

        def wait_for_all() -> None:
            with transaction.atomic():
                locks.lock_all_trees_for_writing(create)

        with pytest.raises(InterruptedError):
            Background(wait_for_all).result()
    assert created == ["n0", "n1", "n2"]


def test_an_organization_that_appears_after_the_lock_is_locked_too(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, everybody = locks.lock_trees_for_reading, Caller("key:x", Role.ADMIN)

    def lock_then_create(*names: Any) -> frozenset[int]:
        locked = lock(*names)
        if not Organization.objects.filter(key="late").exists():
            Background(lambda: tree_operations.create(key="late", name="Late")).result()
        return locked

    monkeypatch.setattr(locks, "lock_trees_for_reading", lock_then_create)
    with hold_visible_organization(everybody, "late") as held:
        late = Background(lambda: tree_operations.delete(organization_id=held.pk))
        late.wait_until_blocked()
    assert late.result() == 1


def test_a_caller_with_a_scope_does_not_hold_up_the_trees_of_others(cast: Cast) -> None:
    theirs = Caller("key:x", Role.ADMIN, cast.acme.pk)
    with transaction.atomic():
        locks.lock_trees_for_writing(cast.rival.pk)

        def name_another_tree() -> None:
            with hold_visible_organization(theirs, cast.rival.pk):
                pass

        with pytest.raises(OrganizationNotFound):
            Background(name_another_tree).result()


def hold_for_reading_until(done: threading.Event, held: threading.Event, organization_id: int) -> None:
    with transaction.atomic():
        locks.lock_trees_for_reading(organization_id)
        held.set()
        assert done.wait(10)


def test_a_wait_for_the_present_holders_is_not_for_those_who_come_later(cast: Cast) -> None:
    """The first holder ends while the second one, who has come meanwhile, still holds its tree."""
    events = [threading.Event() for _ in range(4)]
    first_done, first_held, second_done, second_held = events
    first = Background(lambda: hold_for_reading_until(first_done, first_held, cast.acme.pk))
    assert first_held.wait(10)
    second: list[Background] = []

    def check() -> None:
        if not second:
            second.append(Background(lambda: hold_for_reading_until(second_done, second_held, cast.acme.pk)))
            assert second_held.wait(10)
            first_done.set()

    try:
        locks.wait_for_present_holders(check)
        assert not second_done.is_set()
        first.result()
        assert second[0].is_running
    finally:
        for event in events:
            event.set()
    first.result()
    second[0].result()


def test_a_wait_for_the_present_holders_ends_when_the_check_says_so(cast: Cast) -> None:
    def cancelled() -> None:
        raise InterruptedError

    with transaction.atomic():
        locks.lock_trees_for_reading(cast.acme.pk)
        with pytest.raises(InterruptedError):
            Background(lambda: locks.wait_for_present_holders(cancelled)).result()
