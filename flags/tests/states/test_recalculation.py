"""The recalculation finds rows that differ from the changes, mends them, and does not guess."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from conftest import Cast
from flags.states import recalculation
from flags.states.models import Change, FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import claiming, lifecycle, runner
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations import cleanup, job_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import LONG_AGO, lease_of
from orgs.audit.models import AuditEntry
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def run_all() -> None:
    while runner.run_next("propagation") is not None:
        pass


def set_(organization: Organization, enabled: bool, flag: str = "checkout") -> Change:
    return set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled).change


def recalculated(organization: Organization | None = None, **arguments: Any) -> dict[str, Any]:
    """Run a recalculation to its end; returns its result."""
    job = enqueue(
        kind="recalculation", arguments=arguments, organization_id=organization and organization.pk, by="user:olga"
    ).job
    Job.objects.exclude(pk=job.pk).filter(status=Status.PENDING).update(queue="later")
    run_all()
    Job.objects.filter(queue="later").update(queue="propagation")
    job.refresh_from_db()
    assert job.status == Status.COMPLETED, job.error_message
    assert job.result is not None
    return dict(job.result)


def rows() -> set[tuple[int, int, bool, int, int]]:
    return set(FlagState.objects.values_list("organization", "flag", "enabled", "source", "change_number"))


NO_DRIFT = {"wrong": 0, "missing": 0, "extra": 0, "undecided": 0}


@pytest.fixture
def history(cast: Cast) -> Cast:
    """Changes on several levels, a created and a moved organization, all propagated."""
    set_(cast.acme, True)
    set_(cast.rival, False, "search")
    run_all()
    set_(cast.north, False)
    set_(cast.oslo, True)
    run_all()
    tree_operations.create(name="Store", key="store", parent_id=cast.south.pk)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    run_all()
    return cast


def test_sound_rows_stay_as_they_are(history: Cast) -> None:
    before = rows()
    result = recalculated()
    assert (result["totals"], result["mended"], result["byFlag"]) == (NO_DRIFT, 0, {})
    assert result["organizations"] == Organization.objects.count()
    assert rows() == before


def damage(cast: Cast) -> None:
    """Make a row wrong, let one miss, and plant one."""
    FlagState.objects.filter(organization=cast.rome).update(enabled=False)
    FlagState.objects.filter(organization=cast.oslo, flag__key="checkout").delete()
    search = FlagState.objects.filter(flag__key="search").values_list("flag_id", flat=True)[0]
    FlagState.objects.create(organization=cast.south, flag_id=search, source=cast.acme, change_number=1, enabled=True)


def test_wrong_missing_and_extra_rows_are_found_and_mended_with_their_numbers(history: Cast) -> None:
    before = rows()
    damage(history)
    result = recalculated()
    assert result["totals"] == {"wrong": 1, "missing": 1, "extra": 1, "undecided": 0}
    assert result["byFlag"] == {
        "checkout": NO_DRIFT | {"wrong": 1, "missing": 1}, "search": NO_DRIFT | {"extra": 1},
    }  # fmt: skip
    assert result["mended"] == 3
    assert rows() == before
    planted = next(example for example in result["examples"] if example["difference"] == "extra")
    assert (planted["organizationId"], planted["expected"]) == (history.south.pk, None)
    entry = AuditEntry.objects.get(action="flags.recalculated")
    assert (entry.actor, entry.details["mended"], entry.details["wrong"]) == ("user:olga", 3, 1)


def test_no_number_is_drawn(history: Cast) -> None:
    damage(history)
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM flags_change_number")
        before = cursor.fetchone()
        recalculated()
        cursor.execute("SELECT last_value FROM flags_change_number")
        assert cursor.fetchone() == before


def test_a_dry_run_counts_the_same_and_writes_nothing(history: Cast) -> None:
    damage(history)
    before = rows()
    result = recalculated(dryRun=True)
    assert (result["totals"]["wrong"], result["totals"]["missing"], result["totals"]["extra"]) == (1, 1, 1)
    assert (result["dryRun"], result["mended"]) == (True, 0)
    assert rows() == before


def test_a_subtree_and_a_flag_limit_what_is_mended(history: Cast) -> None:
    damage(history)
    assert recalculated(history.rival)["totals"] == NO_DRIFT | {"missing": 1}
    assert recalculated(history.acme, featureFlagName="search")["totals"] == NO_DRIFT | {"extra": 1}
    assert recalculated()["totals"] == NO_DRIFT | {"wrong": 1}


def test_small_chunks_and_groups_of_flags_see_everything(history: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalculation, "FLAGS_AT_ONCE", 1)
    monkeypatch.setattr(recalculation, "STATES_AT_ONCE", 1)
    before = rows()
    damage(history)
    result = recalculated()
    assert result["mended"] == 3
    assert result["organizations"] == 2 * Organization.objects.count()
    assert rows() == before


def test_a_propagation_that_waits_leaves_its_organizations_undecided(cast: Cast) -> None:
    set_(cast.acme, True)
    run_all()
    set_(cast.acme, False)
    assert recalculated()["totals"] == NO_DRIFT, "rows with the older change are right as long as the newer one waits"
    FlagState.objects.filter(organization=cast.rome).delete()
    result = recalculated()
    assert (result["totals"], result["mended"]) == (NO_DRIFT | {"undecided": 1}, 0)
    assert result["examples"][0]["reason"] == "open"


def test_a_cancelled_change_may_be_there_or_not_also_when_its_job_is_long_gone(cast: Cast) -> None:
    set_(cast.acme, True)
    run_all()
    cancelled = set_(cast.acme, False)
    job_operations.cancel(job_id=cancelled.job_id or 0, by="bob")
    FlagState.objects.filter(organization=cast.rome).update(
        enabled=False, change_number=cancelled.number, source=cast.acme
    )  # the propagation had come so far
    Job.objects.filter(status=Status.CANCELLED).update(created_at=LONG_AGO, completed_at=LONG_AGO)
    cleanup.request()
    runner.run_next("cleanup")
    cancelled.refresh_from_db()
    assert (cancelled.job_id, cancelled.is_partial) == (None, True)
    assert recalculated()["totals"] == NO_DRIFT
    FlagState.objects.filter(organization=cast.rome).delete()
    assert recalculated()["totals"] == NO_DRIFT | {"undecided": 1}


def test_a_failed_propagation_leaves_its_organizations_undecided_until_a_retry_completes_it(cast: Cast) -> None:
    set_(cast.acme, True)
    run_all()
    set_(cast.acme, False)
    job = claiming.claim(queue="propagation", worker="w")
    assert job is not None
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)
    FlagState.objects.filter(organization=cast.rome).delete()
    assert recalculated()["totals"] == NO_DRIFT | {"undecided": 1}
    job_operations.retry(job_id=job.pk, by="bob")
    run_all()
    assert recalculated()["totals"] == NO_DRIFT
    FlagState.objects.filter(organization=cast.rome).delete()
    assert recalculated()["totals"] == NO_DRIFT | {"missing": 1}


@pytest.mark.parametrize("to", ["another tree", "no parent"])
def test_what_a_moved_organization_no_longer_inherits_is_known(cast: Cast, to: str) -> None:
    set_(cast.acme, True)
    set_(cast.bergen, False)
    run_all()
    parent = cast.rival.pk if to == "another tree" else None
    tree_operations.move(organization_id=cast.north.pk, parent_id=parent)
    assert recalculated()["totals"] == NO_DRIFT
    before = rows()
    FlagState.objects.filter(organization=cast.oslo).update(enabled=False, source=cast.oslo)
    FlagState.objects.filter(organization=cast.bergen).delete()
    assert recalculated()["totals"] == NO_DRIFT | {"extra": 1, "missing": 1}
    assert rows() == before


@pytest.mark.parametrize(
    ("below", "changed"), [(Below.KEEP, {"missing": 1, "wrong": 1}), (Below.LOCK, {"missing": 1, "wrong": 1})]
)
def test_kept_and_locked_values_are_mended(cast: Cast, below: Below, changed: dict[str, int]) -> None:
    set_(cast.oslo, True)
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=False, below=below)
    run_all()
    before = rows()
    FlagState.objects.filter(organization=cast.bergen).delete()
    FlagState.objects.filter(organization=cast.oslo).update(source=cast.rival, locked=False)
    assert recalculated()["totals"] == NO_DRIFT | changed
    assert rows() == before


def test_an_unknown_flag_is_a_failure_that_is_not_retried(cast: Cast) -> None:
    job = enqueue(kind="recalculation", arguments={"featureFlagName": "mist"}).job
    run_all()
    job.refresh_from_db()
    assert (job.status, job.error_message) == (Status.FAILED, "There is no flag 'mist'.")
