"""Plans of deletions: /organizations/{organization}/plan with `delete`, the admin site's page and the command."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.insights.models import FlagUseDay
from flags.models import FlagSetting
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def put(organization: Organization, flag: str = "checkout", below: Below = Below.KEEP) -> None:
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=True, below=below)


def plan(api: Api, organization: Organization, **more: Any) -> Any:
    return api.post(f"/organizations/{organization.pk}/plan", {"delete": True, "subtree": True, **more})


def delete(api: Api, organization: Organization, **query: Any) -> Any:
    words = "&".join(f"{name}={value}" for name, value in {"subtree": "true", **query}.items())
    return api.delete(f"/organizations/{organization.pk}?{words}")


def test_the_plan_of_a_deletion_counts_what_goes_and_deletes_nothing(api: Api, cast: Cast) -> None:
    put(cast.oslo)
    put(cast.bergen)
    put(cast.north, "search", Below.LOCK)
    put(cast.south, "search")
    today = timezone.now().date()
    flag = Flag.objects.get(key="checkout")
    for organization in (cast.oslo, cast.rome):
        FlagUseDay.objects.create(day=today, organization_id=organization.pk, flag_id=flag.pk, evaluations=1)
    before = FlagSetting.objects.count()
    body = plan(api, cast.north).json()
    assert body["flags"] == [
        {"featureFlag": "checkout", "settings": 2, "locks": 0, "exemptions": 0},
        {"featureFlag": "search", "settings": 0, "locks": 1, "exemptions": 0},
    ]
    assert [body[name] for name in ("organizations", "settings", "locks", "askedLast7Days")] == [3, 2, 1, 1]
    assert FlagSetting.objects.count() == before
    assert Organization.objects.filter(pk=cast.north.pk).exists()
    assert delete(api, cast.north, planHash=body["planHash"], atMost=3).status_code == 204


def test_a_deletion_is_refused_if_more_would_go_or_if_its_plan_is_stale(api: Api, cast: Cast, settings: Any) -> None:
    put(cast.oslo)
    known = plan(api, cast.north).json()["planHash"]
    put(cast.bergen)
    for large in (1000, 1):
        settings.TREE_INLINE_ORGANIZATIONS = large
        stale = delete(api, cast.north, planHash=known)
        assert (stale.status_code, stale.json()["type"]) == (409, "/problems/plan-stale")
        assert "checkout was set (change" in stale.json()["detail"]
        too_many = delete(api, cast.north, atMost=2)
        assert (too_many.status_code, too_many.json()["type"]) == (409, "/problems/blast-radius")


def test_the_plan_of_a_deletion_is_refused_as_the_deletion_is(api: Api, cast: Cast) -> None:
    assert plan(api, cast.north, subtree=False).json()["type"] == "/problems/organization-has-children"
    bound = Api(_key("bound", Role.ADMIN, cast.north))
    assert plan(bound, cast.north).json()["type"] == delete(bound, cast.north).json()["type"]
    assert plan(bound, cast.south).status_code == 404
    assert api.post(f"/organizations/{cast.north.pk}/plan", {}).status_code == 400


def test_the_page_of_a_deletion_says_which_settings_go(cast: Cast) -> None:
    put(cast.oslo)
    put(cast.north, "search", Below.LOCK)
    page = shown(signed_in("admin").get(f"/admin/orgs/organization/{cast.north.pk}/delete/do/"))
    assert "1 setting and 1 lock of checkout, search will be deleted." in page


def test_the_command_plans_a_deletion_and_refuses_what_was_not_agreed(cast: Cast) -> None:
    put(cast.oslo)
    words = run("delete_organization", "north", "--subtree", "--plan").out
    assert "3 organizations would be deleted" in words
    assert "1 setting of checkout will be deleted." in words
    refused = run("delete_organization", "north", "--subtree", "--at-most", "2")
    assert "would delete 3 organizations" in refused.error
    assert Organization.objects.filter(key="north").exists()
