"""A scheduled change sets, keeps, locks or resets like every other door, and meets the same locks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules.due import DueResult, apply_due
from flags.schedules.models import FlagSchedule
from flags.schedules.recurrence import recurrence
from flags.states.models import FlagSetting
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.schedules.plans import YEAR, as_of, let_come
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations
from orgs.tree.models import Organization

PATH = "/v1/schedules"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    Flag.objects.create(key="checkout")
    return Api(admin_key)


def planned(api: Api, where: Organization, wanted: dict[str, Any], **more: Any) -> list[FlagSchedule]:
    times = more or {"scheduledAt": TOMORROW.isoformat()}
    body = {"featureFlagName": "checkout", "organizationId": where.pk, "apply": wanted, **times}
    answer = api.post(PATH, body)
    assert answer.status_code == 201, answer.content
    return [FlagSchedule.objects.get(pk=each["id"]) for each in answer.json()["schedules"]]


def applied(schedule: FlagSchedule) -> FlagSchedule:
    let_come(schedule.pk)
    apply_due()
    return as_of(schedule)


def settings() -> dict[str, tuple[str, bool | None, bool]]:
    rows = FlagSetting.objects.exclude(kind="none")
    columns = ("organization__key", "kind", "enabled", "only_here")
    return {key: (kind, enabled, only_here) for key, kind, enabled, only_here in rows.values_list(*columns)}


def set_(where: Organization, enabled: bool, below: Below = Below.KEEP) -> None:
    set_flag(organization_id=where.pk, flag_key="checkout", enabled=enabled, below=below)


@pytest.mark.parametrize(
    ("how", "north", "oslo"),
    [
        ({}, ("set", False, False), None),
        ({"below": "overwrite"}, ("set", False, False), None),
        ({"below": "keep"}, ("set", False, False), ("set", True, False)),
        ({"below": "lock"}, ("lock", False, False), ("set", True, False)),
        ({"reach": "here"}, ("set", False, True), ("set", True, False)),
    ],
)
def test_a_scheduled_set_says_what_happens_to_the_settings_below(
    api: Api, cast: Cast, how: dict[str, str], north: Any, oslo: Any
) -> None:
    set_(cast.oslo, True)
    (schedule,) = planned(api, cast.north, {"enabled": False, **how})
    assert applied(schedule).status == "applied"
    assert (settings()["north"], settings().get("oslo")) == (north, oslo)


@pytest.mark.parametrize("subtree", [False, True])
def test_a_scheduled_reset_ends_the_setting_and_perhaps_those_below(api: Api, cast: Cast, subtree: bool) -> None:
    set_(cast.north, True)
    set_(cast.oslo, True)
    (schedule,) = planned(api, cast.north, {"reset": True, "subtree": subtree})
    done = applied(schedule)
    assert (done.status, done.change_number is not None) == ("applied", True)
    assert set(settings()) == (set() if subtree else {"oslo"})


def test_a_scheduled_reset_of_nothing_is_applied_without_a_change(api: Api, cast: Cast) -> None:
    (schedule,) = planned(api, cast.north, {"reset": True})
    done = applied(schedule)
    assert (done.status, done.change_number, done.job_id) == ("applied", None, None)


def test_a_pair_locks_on_and_off(api: Api, cast: Cast) -> None:
    times = {"onAt": TOMORROW.isoformat(), "offAt": (TOMORROW + timedelta(days=1)).isoformat()}
    on, off = planned(api, cast.oslo, {"below": "lock"}, **times)
    assert applied(on).status == "applied"
    assert settings() == {"oslo": ("lock", True, False)}
    assert applied(off).status == "applied"
    assert settings() == {"oslo": ("lock", False, False)}


@pytest.mark.parametrize("wanted", [{"enabled": True}, {"enabled": True, "below": "lock"}, {"reset": True}])
def test_what_meets_a_lock_has_failed_for_good_in_words(api: Api, cast: Cast, wanted: dict[str, Any]) -> None:
    (schedule,) = planned(api, cast.oslo, wanted)
    set_(cast.acme, False, Below.LOCK)
    let_come(schedule.pk)
    assert apply_due() == DueResult(failed=1)
    failed = as_of(schedule)
    assert (failed.status, failed.next_retry_at) == ("failed", None)
    assert "'checkout' is locked by an organization above" in failed.last_error
    assert set(settings()) == {"acme"}


def test_a_series_that_meets_a_lock_comes_again_when_the_lock_may_be_gone(api: Api, cast: Cast) -> None:
    slots = {"cron": "0 9 * * *", "timeZone": "UTC"}
    (schedule,) = planned(api, cast.oslo, {"enabled": True, "below": "keep"}, **slots)
    set_(cast.acme, False, Below.LOCK)
    assert applied(schedule).status == "failed"
    following = FlagSchedule.objects.get(series=schedule)
    assert (following.wanted, following.status) == ({"enabled": True, "below": "keep"}, "pending")
    assert following.scheduled_at == recurrence("0 9 * * *", "UTC").after(following.created_at)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"below": "keep"}, "on or off"),
        ({"enabled": True, "reset": True}, "on or off"),
        ({"enabled": True, "subtree": True}, "on or off"),
        ({"enabled": True, "below": "above"}, 'below: This is not one of "keep", "overwrite", "lock".'),
        ({"enabled": True, "reach": ["here"]}, 'reach: This is not one of "below", "here".'),
        ({"enabled": True, "reach": "here", "below": "lock"}, "only goes with `below: keep`"),
        ({"reset": False}, "reset: This is not one of true."),
        ({"reset": True, "subtree": 1}, "subtree: This is not one of true, false."),
    ],
)
def test_a_setting_that_makes_no_sense_is_not_scheduled(
    api: Api, cast: Cast, wanted: dict[str, Any], words: str
) -> None:
    body = {"featureFlagName": "checkout", "organizationId": cast.oslo.pk, "apply": wanted}
    answer = api.post(PATH, body | {"scheduledAt": TOMORROW.isoformat()})
    assert (answer.status_code, kind_of(answer)) == (400, "invalid-schedule")
    assert words in answer.json()["detail"]


def test_a_definition_knows_no_settings_below(api: Api) -> None:
    body = {"featureFlagName": "checkout", "apply": {"enabled": True, "below": "keep"}}
    answer = api.post(PATH, body | {"scheduledAt": TOMORROW.isoformat()})
    assert "'below' cannot be scheduled" in answer.json()["detail"]


def test_the_form_and_the_command_schedule_locks_and_resets(api: Api, cast: Cast) -> None:
    client = signed_in("operator")
    fields = {"flag": "checkout", "enabled": "true", "organization": "oslo", "time_zone": "UTC", "reason": "x"}
    fields["at"] = f"{YEAR}-01-31T09:00"

    def by_form(**more: str) -> Any:
        answer = client.post("/admin/flags/flagschedule/add/", fields | more)
        assert answer.status_code == 302, shown(answer)
        return FlagSchedule.objects.latest("id")

    assert by_form(below="lock").wanted == {"enabled": True, "below": "lock"}
    assert by_form(below="here").wanted == {"enabled": True, "below": "keep", "reach": "here"}
    assert by_form(below="overwrite").wanted == {"enabled": True}
    reset = by_form(enabled="reset", below="keep")
    assert reset.wanted == {"reset": True, "subtree": False}
    assert "as inherited" in shown(client.get(f"/admin/flags/flagschedule/{reset.pk}/change/"))
    refused = shown(client.post("/admin/flags/flagschedule/add/", fields | {"enabled": "reset", "below": "lock"}))
    assert "A reset has no value." in refused
    words = run("schedule_flag", "oslo", "checkout", "off", "--below", "lock", "--at", "1h").out
    assert "checkout will be locked off for oslo" in words
    assert run("schedule_flag", "oslo", "checkout", "reset", "--at", "1h", "--json").document["apply"]["reset"] is True


def test_the_plan_tells_what_a_change_would_do_now(api: Api, cast: Cast) -> None:
    set_(cast.oslo, True)
    (schedule,) = planned(api, cast.north, {"enabled": True, "below": "keep"})
    plan = api.post(f"{PATH}/{schedule.pk}/plan").json()
    assert (plan["scheduleId"], plan["definition"], plan["refused"]) == (schedule.pk, None, None)
    assert (plan["setting"]["organizations"], plan["setting"]["changed"], plan["setting"]["own"]) == (3, 2, 1)
    (reset,) = planned(api, cast.north, {"reset": True, "subtree": True})
    assert api.post(f"{PATH}/{reset.pk}/plan").json()["setting"]["changed"] == 1
    body = {"featureFlagName": "checkout", "apply": {"enabled": True}, "scheduledAt": TOMORROW.isoformat()}
    definition = api.post(PATH, body).json()["schedules"][0]["id"]
    answer = api.post(f"{PATH}/{definition}/plan").json()
    assert (answer["setting"], answer["definition"]["changed"]) == (None, 7)
    assert settings() == {"oslo": ("set", True, False)}
    page = shown(signed_in("operator").get(f"/admin/flags/flagschedule/{schedule.pk}/change/"))
    assert "2 of 3 organizations get another value." in page
    assert run("schedules", "--plan", definition).lines[1] == "7 of 8 organizations get another answer."


def test_the_plan_says_why_a_change_would_fail(api: Api, cast: Cast) -> None:
    (schedule,) = planned(api, cast.oslo, {"enabled": True})
    set_(cast.acme, False, Below.LOCK)
    refused = api.post(f"{PATH}/{schedule.pk}/plan").json()
    assert (refused["setting"], "is locked by the organization" in refused["refused"]) == (None, True)
    api.post(f"{PATH}/{schedule.pk}/cancel")
    assert api.post(f"{PATH}/{schedule.pk}/plan").json()["refused"] == "The scheduled change is cancelled."
    (other,) = planned(api, cast.rome, {"reset": True})
    Flag.objects.all().delete()
    assert "no longer exists" in api.post(f"{PATH}/{other.pk}/plan").json()["refused"]


def test_who_has_lost_the_organization_or_may_not_define_flags_gets_no_plan(api: Api, cast: Cast) -> None:
    north = Api(AccessKey.objects.create_key(name="n", role=Role.EDITOR, organization=cast.north)[1])
    (schedule,) = planned(north, cast.oslo, {"enabled": True})
    assert north.post(f"{PATH}/{schedule.pk}/plan").status_code == 200
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    assert north.get(f"{PATH}/{schedule.pk}").status_code == 200
    assert kind_of(north.post(f"{PATH}/{schedule.pk}/plan")) == "organization-not-found"
    refused = api.post(f"{PATH}/{schedule.pk}/plan").json()["refused"]
    assert "may no longer make it" in refused
    page = signed_in("operator", bound_to=cast.north).get(f"/admin/flags/flagschedule/{schedule.pk}/change/")
    assert "What it would do now" not in shown(page)
