"""What plans tell beside the settings: who has asked for the flag lately, and which jobs are under way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.insights.models import FlagUse
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def put(organization: Organization, value: bool, below: Below = Below.KEEP, flag: str = "checkout") -> None:
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=value, below=below)
    while runner.run_next("propagation"):
        pass
    Flag.objects.update(created_at=timezone.now() - timedelta(days=100))


def ask(organization: Organization, *, days_ago: float = 0, flag: str | None = "checkout") -> None:
    """An evaluation of the flag, or of all flags at once, for an organization."""
    flag_id = Flag.objects.get(key=flag).pk if flag else 0
    time = timezone.now() - timedelta(days=days_ago)
    FlagUse.objects.create(flag_id=flag_id, organization_id=organization.pk, evaluations=3, last_evaluated_at=time)


def plan(api: Api, organization: Organization, **change: Any) -> Any:
    return api.post(f"/v1/organizations/{organization.pk}/flags/checkout/plan", {"value": False, **change}).json()


def test_a_plan_counts_the_changing_organizations_that_have_asked_in_the_last_week(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    put(cast.oslo, True)
    for organization in (cast.north, cast.bergen, cast.oslo, cast.rival):
        ask(organization)
    ask(cast.south, days_ago=8)
    assert plan(api, cast.acme)["askedLast7Days"] == 2
    assert plan(api, cast.acme, below="overwrite")["askedLast7Days"] == 3
    assert plan(api, cast.acme, value=True)["askedLast7Days"] == 0


def test_an_evaluation_of_all_flags_counts_since_the_flag_exists(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    ask(cast.bergen, flag=None, days_ago=2)
    ask(cast.bergen)
    ask(cast.rome, flag=None, days_ago=2)
    assert plan(api, cast.acme)["askedLast7Days"] == 2
    Flag.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert plan(api, cast.acme)["askedLast7Days"] == 1


def test_a_plan_of_a_flag_that_does_not_exist_yet_has_nobody_who_asked(api: Api, cast: Cast) -> None:
    FlagUse.objects.create(flag_id=0, organization_id=cast.acme.pk, evaluations=1, last_evaluated_at=timezone.now())
    assert plan(api, cast.acme, value=True)["askedLast7Days"] == 0


def test_the_plan_of_a_move_counts_for_each_flag(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    put(cast.acme, True, flag="search")
    put(cast.bergen, True, flag="search")
    for organization in (cast.oslo, cast.bergen):
        ask(organization)
        ask(organization, flag="search")
    body = api.post(f"/organizations/{cast.north.pk}/plan", {"parentId": cast.rival.pk}).json()
    assert {flag["featureFlag"]: (flag["changed"], flag["askedLast7Days"]) for flag in body["flags"]} == {
        "checkout": (3, 2), "search": (2, 1),
    }  # fmt: skip
    assert body["changed"] == 3


def test_a_count_that_takes_too_long_is_null(api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cast.acme, True)
    monkeypatch.setattr("flags.states.plan_figures.rows_in_time", lambda *_, **__: None)
    body = plan(api, cast.acme)
    assert (body["askedLast7Days"], body["jobsUnderWay"], body["changed"]) == (None, [], 6)


def test_a_plan_names_the_open_jobs_that_touch_its_organizations_and_flag(api: Api, cast: Cast) -> None:
    put(cast.oslo, True)
    accepted = [
        set_flag(organization_id=organization.pk, flag_key=flag, enabled=False)
        for organization, flag in ((cast.acme, "checkout"), (cast.north, "search"), (cast.south, "checkout"))
    ]
    above, other_flag, beside = (each.job.pk for each in accepted if each.job)
    assert plan(api, cast.north, value=True)["jobsUnderWay"] == [above]
    assert plan(api, cast.acme, value=True)["jobsUnderWay"] == [above, beside]
    bound = Api(_key("bound", Role.EDITOR, cast.north))
    assert plan(bound, cast.north, value=True)["jobsUnderWay"] == []
    move = api.post(f"/organizations/{cast.north.pk}/plan", {"parentId": cast.rival.pk}).json()
    assert move["jobsUnderWay"] == [above, other_flag]
    while runner.run_next("propagation"):
        pass
    assert plan(api, cast.acme, value=True)["jobsUnderWay"] == []


def test_a_large_move_is_under_way_for_every_flag(api: Api, cast: Cast, settings: Any) -> None:
    put(cast.acme, True)
    settings.TREE_INLINE_ORGANIZATIONS = 1
    job = api.patch(f"/organizations/{cast.north.pk}", {"parentId": cast.rival.pk}).json()["jobId"]
    assert plan(api, cast.oslo)["jobsUnderWay"] == [job]


def test_the_plan_of_a_definition_tells_who_asks_and_what_writes_the_flag(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    for organization in (cast.north, cast.rome):
        ask(organization)
    ask(cast.oslo, days_ago=9)
    kill = {"killed": True}
    body = api.post("/v1/feature-flags/checkout/plan", kill).json()
    assert (body["changed"], body["askedLast7Days"], body["jobsUnderWay"]) == (6, 2, [])
    job = set_flag(organization_id=cast.south.pk, flag_key="checkout", enabled=False).job
    set_flag(organization_id=cast.north.pk, flag_key="search", enabled=False)
    assert job is not None
    assert api.post("/v1/feature-flags/checkout/plan", kill).json()["jobsUnderWay"] == [job.pk]
    unchanged = api.post("/v1/feature-flags/checkout/plan", {"description": "Words."}).json()
    assert (unchanged["changed"], unchanged["askedLast7Days"]) == (0, 0)


def test_the_plan_of_an_undo_tells_who_asks_and_what_is_under_way(api: Api, cast: Cast) -> None:
    put(cast.acme, True)
    for organization in (cast.north, cast.rome):
        ask(organization)
    accepted = set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=False)
    assert accepted.job is not None
    body = api.post(f"/v1/changes/{accepted.change.number}/undo/plan").json()
    assert (body["changed"], body["askedLast7Days"], body["jobsUnderWay"]) == (3, 1, [accepted.job.pk])
