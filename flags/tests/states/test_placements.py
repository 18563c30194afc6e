"""What organizations get that are created below others, or moved."""

from __future__ import annotations

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings as SettingsFixture

from conftest import Cast
from flags.states import selectors
from flags.states.models import FlagState
from flags.states.set_flag import reset_flag_on, set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import job_operations
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]


def _set(organization: Organization, enabled: bool, flag: str = "checkout") -> Job | None:
    return set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled).job


def _run_all() -> None:
    while runner.run_next("propagation") is not None:
        pass


def _value(organization: Organization, flag: str = "checkout") -> tuple[bool, int | None]:
    organization.refresh_from_db()
    state = selectors.effective_state(organization=organization, flag_key=flag)
    return state.enabled, state.source_organization_id


def test_a_created_organization_has_its_parents_values_at_once(cast: Cast) -> None:
    _set(cast.acme, True)
    _run_all()
    store = tree_operations.create(name="Store", key="store", parent_id=cast.north.pk)
    assert FlagState.objects.filter(organization=store, enabled=True, source=cast.acme).exists()


def test_a_change_that_is_on_its_way_reaches_an_organization_created_meanwhile(cast: Cast) -> None:
    _set(cast.acme, True)
    store = tree_operations.create(name="Store", key="store", parent_id=cast.north.pk)
    _run_all()
    assert _value(store) == (True, cast.acme.pk)


def test_a_moved_subtree_inherits_at_its_new_place_and_carries_its_own_settings_along(cast: Cast) -> None:
    _set(cast.rival, True)
    _set(cast.acme, False)
    _run_all()
    _set(cast.oslo, False)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert _value(cast.north) == _value(cast.bergen) == (True, cast.rival.pk)
    assert _value(cast.oslo) == (False, cast.oslo.pk)
    _run_all()
    assert _value(cast.oslo) == (False, cast.oslo.pk)


def test_what_was_inherited_stays_behind(cast: Cast) -> None:
    """The value came from above the former place, and nobody there decides any more."""
    _set(cast.acme, True)
    _run_all()
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert _value(cast.north) == _value(cast.oslo) == (False, None)
    assert _value(cast.rome) == (True, cast.acme.pk)


def test_a_flag_that_nobody_set_above_the_new_place_keeps_its_value(cast: Cast) -> None:
    _set(cast.oslo, True)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert _value(cast.oslo) == (True, cast.oslo.pk)


def test_a_change_inside_a_moved_subtree_goes_on(cast: Cast) -> None:
    _set(cast.rival, True)
    _run_all()
    _set(cast.north, False)  # waits
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    _run_all()
    for organization in (cast.north, cast.oslo):
        assert _value(organization) == (False, cast.north.pk)


def test_a_change_on_its_way_to_the_new_parent_counts(cast: Cast) -> None:
    _set(cast.rival, True)  # waits: the rival's own row is not written yet
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert _value(cast.oslo) == (True, cast.rival.pk)
    _run_all()
    assert _value(cast.oslo) == (True, cast.rival.pk)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_change_that_was_on_its_way_from_the_old_place_is_left_behind(cast: Cast, is_cancelled: bool) -> None:
    job = _set(cast.acme, True)
    assert job is not None
    if is_cancelled:
        job_operations.cancel(job_id=job.pk, by="somebody")
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    _run_all()
    assert _value(cast.north) == _value(cast.oslo) == (False, None)
    assert _value(cast.rome) == ((False, None) if is_cancelled else (True, cast.acme.pk))


def test_a_later_change_on_the_new_parent_reaches_what_was_moved(cast: Cast) -> None:
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    _set(cast.rival, True)
    _run_all()
    assert _value(cast.oslo) == (True, cast.rival.pk)


def test_what_is_large_is_carried_by_a_job_that_the_move_creates(cast: Cast, settings: SettingsFixture) -> None:
    settings.FLAGS_INLINE_ROWS = 2
    _set(cast.rival, True)
    _run_all()
    moved = tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    job = Job.objects.get(status="PENDING")
    assert moved.placement_jobs == (job.pk,)
    assert (job.organization_id, job.total) == (cast.north.pk, 3)
    assert _value(cast.oslo) == (True, cast.rival.pk), "until then it is read from above"
    _run_all()
    assert FlagState.objects.filter(organization__in=[cast.north, cast.oslo, cast.bergen], enabled=True).count() == 3


def test_deleting_an_organization_deletes_its_states(cast: Cast) -> None:
    _set(cast.acme, True)
    _run_all()
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert FlagState.objects.count() == 3


def test_a_value_for_a_parent_only_is_not_handed_to_what_is_created_below_it(cast: Cast) -> None:
    _set(cast.acme, True)
    set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=False, below=Below.KEEP, only_here=True)
    _run_all()
    store = tree_operations.create(name="Store", key="store", parent_id=cast.north.pk)
    assert _value(cast.north) == (False, cast.north.pk)
    assert _value(store) == (True, cast.acme.pk)


@pytest.mark.parametrize("rows_at_once", [1_000, 0])
def test_a_lock_holds_for_what_comes_below_it_and_no_longer_for_what_leaves(
    cast: Cast, rows_at_once: int, settings: SettingsFixture
) -> None:
    settings.FLAGS_INLINE_ROWS = rows_at_once
    _set(cast.oslo, True)
    set_flag(organization_id=cast.south.pk, flag_key="checkout", enabled=False, below=Below.LOCK)
    _run_all()
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.south.pk)
    store = tree_operations.create(name="Store", key="store", parent_id=cast.oslo.pk)
    _run_all()
    for organization in (cast.north, cast.oslo, cast.bergen, store):
        assert _value(organization) == (False, cast.south.pk)
        assert FlagState.objects.get(organization=organization).locked
    tree_operations.move(organization_id=cast.north.pk, parent_id=None)
    _run_all()
    assert _value(cast.oslo) == _value(store) == (True, cast.oslo.pk)
    assert _value(cast.bergen) == (False, None)
    assert not FlagState.objects.get(organization=cast.oslo).locked


def test_a_reset_towards_no_value_is_not_undone_by_an_older_change_that_comes_late(cast: Cast) -> None:
    _set(cast.acme, True)  # waits
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.acme.pk)
        reset_flag_on(Organization.objects.get(pk=cast.acme.pk), flag_key="checkout")
    older, newer = Job.objects.order_by("pk")
    Job.objects.filter(pk=newer.pk).update(priority=5)
    _run_all()
    older.refresh_from_db()
    assert older.status == "COMPLETED"
    assert _value(cast.oslo) == (False, None)
