"""What organizations get that are created below others, or moved."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings as SettingsFixture

from conftest import Cast
from flags.states import selectors
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job
from jobs.operations import job_operations
from orgs.tree import tree_operations
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


def test_a_moved_subtree_takes_over_its_new_parents_values(cast: Cast) -> None:
    _set(cast.rival, True)
    _set(cast.north, False)
    _run_all()
    _set(cast.oslo, False)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    for organization in (cast.north, cast.oslo, cast.bergen):
        assert _value(organization) == (True, cast.rival.pk)


def test_a_flag_that_nobody_set_above_the_new_place_keeps_its_value(cast: Cast) -> None:
    _set(cast.oslo, True)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    assert _value(cast.oslo) == (True, cast.oslo.pk)


def test_an_older_change_inside_a_moved_subtree_no_longer_wins(cast: Cast) -> None:
    _set(cast.rival, True)
    _run_all()
    _set(cast.north, False)  # waits
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    _run_all()
    for organization in (cast.north, cast.oslo):
        assert _value(organization) == (True, cast.rival.pk)


def test_a_change_on_its_way_to_the_new_parent_counts(cast: Cast) -> None:
    _set(cast.rival, True)  # waits: the rival's own row is not written yet
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert _value(cast.oslo) == (True, cast.rival.pk)
    _run_all()
    assert _value(cast.oslo) == (True, cast.rival.pk)


def test_a_change_that_was_on_its_way_from_the_old_place_is_carried_along(cast: Cast) -> None:
    _set(cast.acme, True)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    _run_all()
    for organization in (cast.north, cast.oslo, cast.rome):
        assert _value(organization) == (True, cast.acme.pk)


def test_a_cancelled_change_is_not_carried_along(cast: Cast) -> None:
    job = _set(cast.acme, True)
    assert job is not None
    job_operations.cancel(job_id=job.pk, by="somebody")
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    assert _value(cast.oslo) == (False, None)


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


@pytest.mark.parametrize("end", ["came through", "cancelled"])
def test_a_change_whose_retry_has_come_to_an_end_is_not_carried_along(cast: Cast, end: str) -> None:
    job = _set(cast.acme, True)
    assert job is not None
    claimed = claiming.claim(queue=job.queue, worker="worker")
    assert claimed is not None
    assert claimed.lease_token is not None
    lifecycle.fail(job_id=job.pk, lease=claimed.lease_token, error="no", permanent=True)
    again = job_operations.retry(job_id=job.pk, by="ada")
    if end == "cancelled":
        job_operations.cancel(job_id=again.pk, by="ada")
    _run_all()
    tree_operations.move(organization_id=cast.south.pk, parent_id=None)
    assert FlagState.objects.filter(organization=cast.rome).exists() == (end == "came through")
    kept = Change.objects.filter(organization=cast.south, source=cast.acme)
    assert kept.exists() == (end == "came through"), "only what the moved organization keeps is recorded"
