"""Exemptions from locks, and settings and exemptions that end by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from conftest import Cast, _key
from flags.definitions import service
from flags.models import FlagSetting, FlagState
from flags.states import expiry
from jobs.engine import runner
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
LATER = "2200-01-31T09:00:00.000000Z"


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


def address(organization: Organization) -> str:
    return f"/v1/organizations/{organization.key}/flags/checkout"


def run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def put(api: Api, organization: Organization, value: bool, **more: Any) -> Any:
    answer = api.put(address(organization), {"value": value, **more})
    run_jobs()
    return answer


def exempt(api: Api, organization: Organization, **body: Any) -> Any:
    answer = api.put(f"{address(organization)}/exemption", body)
    run_jobs()
    return answer


def on() -> set[str]:
    """The organizations for which the flag is on."""
    return set(FlagState.objects.filter(enabled=True).values_list("organization__key", flat=True))


def expire(**columns: Any) -> None:
    """Let the time of settings or exemptions be over."""
    past = timezone.now() - timedelta(seconds=1)
    FlagSetting.objects.filter(**columns).update(**{name.removesuffix("__isnull"): past for name in columns})


def test_an_exempt_organization_has_its_own_setting_back_and_may_set_the_flag(api: Api, cast: Cast) -> None:
    put(api, cast.north, True)
    put(api, cast.acme, False, below="lock")
    assert on() == set()
    answer = exempt(api, cast.north, reason="A pilot.", expiresAt=LATER)
    body = answer.json()
    assert (answer.status_code, body["value"], body["locked"]) == (202, True, False)
    assert (body["exemptFrom"], body["exemptUntil"]) == (cast.acme.pk, LATER)
    assert on() == {"north", "oslo", "bergen"}
    assert put(api, cast.oslo, False).status_code == 200
    assert on() == {"north", "bergen"}
    ended = api.delete(f"{address(cast.north)}/exemption")
    run_jobs()
    assert (ended.status_code, ended.json()["locked"], ended.json()["exemptFrom"]) == (202, True, None)
    assert on() == set()
    assert api.delete(f"{address(cast.north)}/exemption").json()["changeNumber"] is None


def test_without_a_lock_above_there_is_nothing_to_be_exempt_from(api: Api, cast: Cast) -> None:
    put(api, cast.acme, True)
    assert (exempt(api, cast.oslo).status_code, kind_of(exempt(api, cast.oslo))) == (409, "flag-not-locked")
    put(api, cast.oslo, True, below="lock")
    assert kind_of(exempt(api, cast.oslo)) == "flag-not-locked", "its own lock is no lock above it"


def test_only_who_sees_the_organization_with_the_lock_may_exempt_from_it(api: Api, cast: Cast) -> None:
    put(api, cast.acme, False, below="lock")
    bound = Api(_key("north", Role.ADMIN, cast.north))
    refused = bound.put(f"{address(cast.oslo)}/exemption", {})
    assert (refused.status_code, kind_of(refused)) == (403, "outside-of-your-subtree")
    assert "cme" not in refused.json()["detail"]
    assert not FlagSetting.objects.filter(exempt_from__isnull=False).exists()


def test_a_new_lock_further_up_holds_for_who_is_exempt_from_a_lower_one(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    put(api, cast.north, False, below="lock")
    exempt(api, cast.oslo)
    assert on() == {"oslo"}
    put(api, cast.acme, False, below="lock")
    assert on() == set()


def test_an_exemption_goes_with_the_lock_and_does_not_come_back_with_the_next_one(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    put(api, cast.acme, False, below="lock")
    exempt(api, cast.oslo)
    api.delete(address(cast.acme))
    run_jobs()
    put(api, cast.acme, False, below="lock")
    assert on() == set()


def test_an_exemption_goes_with_a_lock_that_somebody_undoes(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    number = put(api, cast.acme, False, below="lock").json()["changeNumber"]
    exempt(api, cast.oslo)
    assert api.post(f"/v1/changes/{number}/undo", {}).status_code == 202
    run_jobs()
    assert api.get(address(cast.oslo)).json()["exemptFrom"] is None
    put(api, cast.acme, False, below="lock")
    assert on() == set()


def test_an_exempt_organization_gets_another_end_of_its_exemption(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    put(api, cast.acme, False, below="lock")
    exempt(api, cast.oslo, expiresAt=LATER)
    answer = exempt(api, cast.oslo)
    assert (answer.status_code, answer.json()["exemptFrom"], answer.json()["exemptUntil"]) == (200, cast.acme.pk, None)
    assert on() == {"oslo"}


def test_who_does_not_see_the_lock_cannot_prolong_the_exemption(api: Api, cast: Cast) -> None:
    put(api, cast.acme, False, below="lock")
    exempt(api, cast.north, expiresAt=LATER)
    key = Api(_key("north", Role.EDITOR, cast.north))
    answer = key.put(f"{address(cast.north)}/exemption", {})
    assert (answer.status_code, kind_of(answer)) == (403, "outside-of-your-subtree")


def test_what_is_set_anew_while_it_ends_stays(api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    put(api, cast.oslo, True, expiresAt=LATER)
    put(api, cast.rome, True, expiresAt=LATER)
    expire(expires_at__isnull=False)
    end = expiry._end

    def set_first(organization_id: int, flag_key: str) -> bool:
        if organization_id == cast.oslo.pk:
            put(api, cast.oslo, True, expiresAt=LATER)
        return end(organization_id, flag_key)

    monkeypatch.setattr(expiry, "_end", set_first)
    assert expiry.end_expired() == 1
    assert on() == {"oslo"}


def test_settings_of_archived_flags_keep_no_others_from_their_end(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 1)
    api.put("/v1/organizations/oslo/flags/old", {"value": True, "expiresAt": LATER})
    expire(expires_at__isnull=False)
    service.archive(key="old", by="user:olga")
    put(api, cast.rome, True, expiresAt=LATER)
    expire(expires_at__isnull=False)
    assert expiry.end_expired() == 1
    assert FlagSetting.objects.get(organization=cast.rome).kind == "none"


def test_one_that_cannot_end_keeps_no_others_from_their_end(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(api, cast.oslo, True, expiresAt=LATER)
    put(api, cast.rome, True, expiresAt=LATER)
    expire(expires_at__isnull=False)
    end = expiry._end

    def fail_once(organization_id: int, flag_key: str) -> bool:
        if organization_id == cast.oslo.pk:
            raise IntegrityError("broken")
        return end(organization_id, flag_key)

    monkeypatch.setattr(expiry, "_end", fail_once)
    with pytest.raises(IntegrityError):
        expiry.end_expired()
    assert on() == {"oslo"}


def test_an_exemption_ends_when_its_time_has_come(api: Api, cast: Cast) -> None:
    put(api, cast.oslo, True)
    put(api, cast.acme, False, below="lock")
    exempt(api, cast.oslo, expiresAt=LATER)
    assert expiry.end_expired() == 0
    expire(exempt_until__isnull=False)
    assert expiry.end_expired() == 1
    run_jobs()
    assert on() == set()
    assert FlagSetting.objects.get(organization=cast.oslo).kind == "set", "its own setting stays"
    entry = AuditEntry.objects.get(action="flag.exemption-ended")
    assert (entry.actor, entry.reason) == ("system", "Its time has come.")


@pytest.mark.parametrize("below", ["keep", "lock"])
def test_a_setting_ends_when_its_time_has_come_also_below_a_lock(api: Api, cast: Cast, below: str) -> None:
    assert put(api, cast.north, True, below=below, expiresAt=LATER).json()["setting"]["expiresAt"] == LATER
    put(api, cast.acme, False, below="lock")
    expire(expires_at__isnull=False)
    assert expiry.end_expired() == 1
    run_jobs()
    assert FlagSetting.objects.get(organization=cast.north).kind == "none"
    assert set(FlagState.objects.values_list("enabled", "locked")) == {(False, True)}, "the lock holds as before"
    api.delete(address(cast.acme))
    run_jobs()
    assert on() == set()


@pytest.mark.parametrize("time", ["2020-01-31T09:00:00Z", "tomorrow"])
def test_a_setting_that_would_end_at_once_is_refused(api: Api, cast: Cast, time: str) -> None:
    for answer in (put(api, cast.oslo, True, expiresAt=time), exempt(api, cast.oslo, expiresAt=time)):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expiresAt")
