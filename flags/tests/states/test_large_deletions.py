"""Flag states while a job deletes the organizations of a large subtree in steps."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.states import set_flag
from flags.states.models import FlagState
from jobs.engine import runner
from jobs.tests.tree_changes.large import after_step, in_steps_of, started, work
from orgs.tests.api import Api
from orgs.tests.trees import paths

LEFT = {"acme", "acme/south", "acme/south/rome", "rival", "rival/rival_store"}


@pytest.fixture(autouse=True)
def every_subtree_is_large(settings: Any) -> None:
    settings.TREE_INLINE_ORGANIZATIONS = 2


def turn_on(organization_id: int) -> None:
    set_flag.set_flag(organization_id=organization_id, flag_key="sale", enabled=True, requested_by="alice")


@pytest.mark.parametrize("most", [1, 2, 100])
def test_the_flag_states_of_deleted_organizations_go_and_others_stay(admin_key: str, cast: Cast, most: int) -> None:
    for organization in (cast.oslo, cast.bergen, cast.rome, cast.rival_store):
        turn_on(organization.pk)
    with in_steps_of(most):
        started(Api(admin_key).delete("/organizations/north?subtree=true"))
        work()
    assert paths() == LEFT
    assert set(FlagState.objects.values_list("organization_id", flat=True)) == {cast.rome.pk, cast.rival_store.pk}


def test_a_set_below_while_it_runs_leaves_no_flag_state_of_a_deleted_organization(admin_key: str, cast: Cast) -> None:
    started(Api(admin_key).delete("/organizations/north?subtree=true"))
    with after_step(1, lambda: turn_on(cast.north.pk)):
        runner.run_next("default")
    while runner.run_next("propagation"):
        pass
    assert paths() == LEFT
    assert not FlagState.objects.exists()
