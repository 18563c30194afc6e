"""Flag states after a job has moved a large subtree."""

from __future__ import annotations

from typing import Any

from conftest import Cast
from flags.states import set_flag
from flags.states.models import FlagState
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.tree_changes.large import started, work
from orgs.tests.api import Api


def test_the_subtree_takes_over_the_flag_states_of_its_new_parent(admin_key: str, cast: Cast, settings: Any) -> None:
    settings.TREE_INLINE_ORGANIZATIONS, settings.FLAGS_INLINE_ROWS = 2, 0
    set_flag.set_flag(organization_id=cast.rome.pk, flag_key="sale", enabled=True, requested_by="alice")
    set_flag.set_flag(organization_id=cast.oslo.pk, flag_key="search", enabled=False, requested_by="alice")
    job = started(Api(admin_key).patch("/organizations/north", {"parentId": "rome"}))
    work()
    job.refresh_from_db()
    assert job.result["jobs"] == list(Job.objects.filter(kind="propagation").values_list("pk", flat=True))
    assert Job.objects.get(kind="propagation").requested_by == job.requested_by
    while runner.run_next("propagation"):
        pass
    moved = FlagState.objects.filter(organization__in=[cast.north.pk, cast.oslo.pk, cast.bergen.pk], flag__key="sale")
    assert list(moved.values_list("enabled", "source_id").distinct()) == [(True, cast.rome.pk)]
    assert moved.count() == 3
