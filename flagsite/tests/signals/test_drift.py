"""The search for drift finds flag states that differ from the settings, and tells of them until they are mended."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from conftest import Cast
from flags.states import drift, expected_states
from flags.states.drift import Checked, check_drift
from flags.states.models import DriftedState, FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tasks import check_drift as task
from flags.tests.states.test_recalculation import recalculated, run_all
from flagsite.health.doctor.state_checks import check_flag_states
from flagsite.tests.signals.scraping import samples_of, total
from orgs.tests.api import Api
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
NAME = "flagsite_flag_state_drift"


@pytest.fixture
def organizations(cast: Cast) -> int:
    """Settings of every kind, all written; returns the number of organizations."""
    for place, enabled, below in (
        (cast.oslo, True, Below.KEEP), (cast.acme, False, Below.LOCK), (cast.rival, True, Below.OVERWRITE),
    ):  # fmt: skip
        set_flag(organization_id=place.pk, flag_key="checkout", enabled=enabled, below=below)
    run_all()
    return int(Organization.objects.count())


def damage(organization: Organization) -> None:
    FlagState.objects.filter(organization=organization).update(enabled=True)


def metrics(key: str) -> dict[Any, float]:
    return samples_of(Api(key).get("/metrics").content.decode())


def test_there_is_none_after_all_jobs_have_run(organizations: int, reader_key: str) -> None:
    assert check_drift() == Checked(compared=organizations, drifted=0)
    scraped = metrics(reader_key)
    assert (total(scraped, NAME), total(scraped, "flagsite_flag_states_compared_total")) == (0, organizations)
    assert "card-drift" not in shown(signed_in("viewer").get("/admin/"))


def test_a_changed_row_is_told_everywhere_and_stays_until_it_is_mended(
    cast: Cast, organizations: int, reader_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(cast.bergen)
    with capture_logs() as logs:
        task()
    (event,) = [each for each in logs if each["event"] == "flag_states_drift"]
    assert (event["differences"], event["organizationId"], event["difference"]) == (1, cast.bergen.pk, "wrong")
    assert total(metrics(reader_key), NAME) == 1
    page = shown(signed_in("viewer").get("/admin/"))
    assert "Flag states that differ from the settings" in page
    assert "/admin/jobs/job/enqueue/?kind=recalculation" in page
    assert "card-drift" not in shown(signed_in("viewer", bound_to=cast.acme, name="bo").get("/admin/"))
    monkeypatch.setattr(drift, "sampled_organizations", lambda most: [])
    assert check_drift() == Checked(compared=0, drifted=1), "nobody has mended it"
    assert FlagState.objects.get(organization=cast.bergen).enabled is True
    assert "1 flag state found by the hourly comparison is not" in check_known(monkeypatch)
    recalculated()
    assert check_drift().drifted == 0
    assert total(metrics(reader_key), NAME) == 0


def check_known(monkeypatch: pytest.MonkeyPatch) -> str:
    """What the doctor says if its own sample has found nothing."""
    with monkeypatch.context() as patched:
        patched.setattr(expected_states, "sample", lambda **_: (1, []))
        return check_flag_states().message


def test_what_a_job_still_has_to_write_is_no_drift(cast: Cast, organizations: int) -> None:
    set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True, below=Below.LOCK)
    set_flag(organization_id=cast.acme.pk, flag_key="search", enabled=True)
    tree_operations.move(organization_id=cast.rival_store.pk, parent_id=cast.south.pk)
    assert check_drift().drifted == 0
    run_all()
    assert check_drift().drifted == 0


def test_a_deleted_organization_has_no_drift(cast: Cast, organizations: int) -> None:
    damage(cast.bergen)
    assert check_drift().drifted == 1
    tree_operations.delete(organization_id=cast.bergen.pk)
    assert check_drift().drifted == 0


def test_a_sample_has_as_many_organizations_as_the_setting_says(
    cast: Cast, organizations: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FLAGS_DRIFT_SAMPLE = 3
    assert check_drift().compared == 3
    monkeypatch.setattr(expected_states, "STRETCH", 1)
    assert 1 <= check_drift().compared <= 3
    settings.FLAGS_DRIFT_SAMPLE = 0
    assert check_drift().compared == 0


def test_only_so_many_are_kept(cast: Cast, organizations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_KEPT", 1)
    for organization in (cast.bergen, cast.oslo):
        damage(organization)
    assert check_drift().drifted == 1
    assert DriftedState.objects.count() == 1


def test_a_check_that_takes_long_leaves_out_flags(
    cast: Cast, organizations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="search", enabled=True)
    monkeypatch.setattr(drift, "FLAGS_AT_ONCE", 1)
    assert check_drift().compared == 2 * organizations
    monkeypatch.setattr(drift, "MOST_SECONDS", -1.0)
    assert check_drift().compared == 0
