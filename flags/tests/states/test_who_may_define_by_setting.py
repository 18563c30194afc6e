"""Setting an unknown flag defines it for all organizations: who may do it, and what others are told instead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.definitions.refusals import unknown_flag
from flags.errors import FlagNotFound
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.states.set_flag import set_flag
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def bound(cast: Cast) -> Api:
    return Api(_key("bound", Role.EDITOR, cast.north))


def define(*keys: str) -> None:
    for key in keys:
        service.create(key=key, values={}, by="user:olga")


def schedule_of(flag: str, organization_id: int) -> dict[str, Any]:
    at = (timezone.now() + timedelta(days=1)).isoformat()
    return {"featureFlagName": flag, "organizationId": organization_id, "apply": {"enabled": True}, "scheduledAt": at}


def test_a_bound_key_does_not_define_a_flag_by_setting_it(bound: Api, cast: Cast) -> None:
    define("checkout")
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    why = "A definition holds for all organizations, so only somebody who is not bound to an organization can define"
    for organization, offered in ((cast.oslo, " Did you mean 'checkout'?"), (cast.north, "")):
        response = bound.post(f"/{organization.pk}/chekcout/true")
        assert (response.status_code, kind_of(response)) == (403, "outside-of-your-subtree")
        assert response.json()["detail"] == f"There is no flag 'chekcout'.{offered} {why} the flag."
    assert set(Flag.objects.values_list("key", flat=True)) == {"checkout"}


def test_a_bound_key_sets_a_flag_that_exists(bound: Api, cast: Cast) -> None:
    define("checkout")
    assert bound.post(f"/{cast.oslo.pk}/checkout/true").json()["created"] is False


def test_a_bound_person_defines_no_flag_by_the_switch(cast: Cast) -> None:
    client = signed_in("operator", bound_to=cast.north)
    page = shown(
        client.post(f"/admin/flags/flag/set/{cast.oslo.pk}/", {"flag": "new", "enabled": "true", "reason": "x"})
    )
    assert "only somebody who is not bound to an organization can define the flag" in page
    assert not Flag.objects.exists()


def test_no_scheduled_change_defines_a_flag(api: Api, bound: Api, cast: Cast) -> None:
    for caller in (api, bound):
        assert kind_of(caller.post("/v1/schedules", schedule_of("new", cast.oslo.pk))) == "flag-not-found"
    define("f")
    assert api.post("/v1/schedules", schedule_of("f", cast.oslo.pk)).status_code == 201
    Flag.objects.all().delete()
    FlagSchedule.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))
    apply_due()
    assert "no longer exists" in FlagSchedule.objects.get().last_error
    assert not Flag.objects.exists()


def test_an_unbound_caller_defines_a_flag_and_is_told_so(api: Api, cast: Cast) -> None:
    assert api.post(f"/{cast.oslo.pk}/one/true").json()["created"] is True
    assert api.post(f"/{cast.acme.pk}/two/true").json()["created"] is True
    assert api.post(f"/{cast.acme.pk}/two/false").json()["created"] is False
    assert run("set_flag", "oslo", "three", "on", "--json").document["created"] is True
    assert run("set_flag", "oslo", "three", "off", "--json").document["created"] is False


def test_where_setting_defines_no_flag_near_names_are_offered(api: Api, bound: Api, cast: Cast, settings: Any) -> None:
    settings.FLAGS_CREATE_ON_SET = False
    define("new-checkout", "old-thing")
    set_flag(organization_id=cast.oslo.pk, flag_key="new-checkout", enabled=False)
    words = "There is no flag 'New-chekout'. Did you mean 'new-checkout'?"
    for caller in (api, bound):
        for response in (
            caller.post(f"/{cast.oslo.pk}/New-chekout/true"),
            caller.post("/v1/schedules", schedule_of("New-chekout", cast.oslo.pk)),
        ):
            assert (response.status_code, kind_of(response), response.json()["detail"]) == (
                404,
                "flag-not-found",
                words,
            )
    assert run("set_flag", "oslo", "New-chekout", "on").error == words
    page = shown(
        signed_in("operator").post(
            f"/admin/flags/flag/set/{cast.oslo.pk}/", {"flag": "New-chekout", "enabled": "true", "reason": "x"}
        )
    )
    assert "Did you mean &#x27;new-checkout&#x27;?" in page


def test_names_of_flags_that_a_bound_caller_has_nothing_to_do_with_are_not_offered(cast: Cast) -> None:
    define("new-checkout", "new-checkout-2", "new-checkouts")
    Flag.objects.filter(key="new-checkouts").update(archived=True)
    set_flag(organization_id=cast.rival_store.pk, flag_key="new-checkout", enabled=True)
    assert str(unknown_flag("new-checkot", known_to=cast.oslo.pk)) == "There is no flag 'new-checkot'."
    assert "'new-checkout'?" in str(unknown_flag("new-checkot", known_to=cast.rival_store.pk))
    assert str(unknown_flag("new-checkot")) == (
        "There is no flag 'new-checkot'. Did you mean 'new-checkout' or 'new-checkout-2'?"
    )
    assert str(unknown_flag("elsewhere")) == "There is no flag 'elsewhere'."
    assert isinstance(unknown_flag("elsewhere"), FlagNotFound)


def test_after_an_archive_the_same_name_is_refused_with_both_ways_out(api: Api, cast: Cast) -> None:
    define("f")
    assert api.delete("/v1/feature-flags/f").status_code == 200
    response = api.post("/v1/feature-flags", {"name": "f"})
    assert (response.status_code, kind_of(response)) == (409, "flag-exists")
    assert 'send PATCH with {"archived": false}' in response.json()["detail"]
    assert "send DELETE with ?purge=true" in response.json()["detail"]
    refused = api.post(f"/{cast.oslo.pk}/f/true")
    assert (kind_of(refused), "Unarchive it before you set it" in refused.json()["detail"]) == ("flag-archived", True)


def test_reads_of_an_unknown_flag_offer_near_names_to_those_who_may_know_them(api: Api, bound: Api, cast: Cast) -> None:
    define("new-checkout")
    paths = ("/v1/feature-flags/new-checkot", "/v1/feature-flags/new-checkot/adoption")
    for path in paths:
        assert api.get(path).json()["detail"] == "There is no flag 'new-checkot'. Did you mean 'new-checkout'?"
        assert bound.get(path).json()["detail"] == "There is no flag 'new-checkot'."
    set_flag(organization_id=cast.oslo.pk, flag_key="new-checkout", enabled=True)
    words = "There is no flag 'new-checkot'. Did you mean 'new-checkout'?"
    for caller in (api, bound):
        assert caller.get(f"/{cast.oslo.pk}/new-checkot").json()["detail"] == words
    assert run("flag_state", "oslo", "new-checkot").error == words
