"""Changes of flags, failed scheduled changes and stale flags are events."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from flags.insights.stale_events import tell_stale
from flags.models import Flag, FlagSchedule
from flags.schedules.record_result import record_failure
from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.set_flag import find_and_hold, set_flag
from flags.states.setting_rules import Below
from flags.undoing.undo import find
from jobs.notifications import events, telling
from jobs.notifications.models import Delivery, Event
from jobs.notifications.subscriptions import Wish, create
from orgs.access.caller import Caller
from orgs.access.models import Role

pytestmark = pytest.mark.django_db
OPERATOR = Caller("user:olga", Role.OPERATOR)


def subscribe(event: str, organization_id: int | None = None) -> None:
    wish = Wish(
        name="Ops", channel="email", target="ann@example.com", events=[event], organization=organization_id,
        digest_seconds=0,
    )  # fmt: skip
    create(OPERATOR, wish)


def told() -> list[str]:
    telling.tell_events()
    return [event["text"] for delivery in Delivery.objects.order_by("pk") for event in delivery.events["first"]]


def test_a_flag_that_is_set_is_told_to_those_above_with_the_actor(cast: Cast) -> None:
    subscribe("flag.changed", cast.acme.pk)
    set_flag(organization_id=cast.north.pk, flag_key="new", enabled=True, requested_by="user:olga")
    assert told() == ["user:olga has set the flag new to on for North and everything below it."]


def test_those_below_are_told_that_it_changes_for_them_and_not_who_or_where(cast: Cast) -> None:
    subscribe("flag.changed", cast.oslo.pk)
    set_flag(organization_id=cast.acme.pk, flag_key="new", enabled=True, requested_by="user:olga")
    assert told() == ["The flag new was set to on further up."]
    assert "olga" not in str(Delivery.objects.get().events)
    assert "details" in Delivery.objects.get().events["first"][0]
    assert Delivery.objects.get().events["first"][0]["organizationId"] is None


def test_each_kind_of_change_is_told_in_its_words(cast: Cast) -> None:
    subscribe("flag.changed", cast.acme.pk)
    number = set_flag(
        organization_id=cast.acme.pk, flag_key="new", enabled=False, below=Below.LOCK, requested_by="user:olga"
    ).change.number
    with find_and_hold(cast.oslo.pk) as oslo:
        exempt_on(oslo, flag_key="new", may_lift=lambda _: True, requested_by="user:olga")
    with find_and_hold(cast.oslo.pk) as oslo:
        end_exemption_on(oslo, flag_key="new", requested_by="user:olga")
    find(OPERATOR, number).undo()
    set_flag(organization_id=cast.acme.pk, flag_key="new", enabled=True, below=Below.KEEP, only_here=True)
    assert [text.replace("user:olga has ", "") for text in told()] == [
        "locked the flag new to off for Acme and everything below it.",
        "lifted the lock of the flag new for Oslo and everything below it.",
        "ended the exemption from the lock of the flag new for Oslo and everything below it.",
        f"undone change {number} of the flag new for Acme and everything below it.",
        " has set the flag new to on for Acme only.",
    ]


def test_those_below_are_told_what_reaches_them(cast: Cast) -> None:
    subscribe("flag.changed", cast.oslo.pk)
    set_flag(organization_id=cast.north.pk, flag_key="new", enabled=True, below=Below.KEEP, only_here=True)
    number = set_flag(organization_id=cast.acme.pk, flag_key="new", enabled=False, below=Below.LOCK).change.number
    find(OPERATOR, number).undo()
    assert told() == ["The flag new was locked to off further up.", "The flag new was changed further up."]


def test_others_are_not_told(cast: Cast) -> None:
    subscribe("flag.changed", cast.south.pk)
    subscribe("flag.changed", cast.rival.pk)
    set_flag(organization_id=cast.north.pk, flag_key="new", enabled=True, requested_by="user:olga")
    assert told() == []


def test_a_changed_definition_is_told_to_all_and_who_did_it_to_those_who_see_everything(cast: Cast) -> None:
    subscribe("flag.changed")
    subscribe("flag.changed", cast.acme.pk)
    service.create(key="new", values={}, by="user:olga")
    service.update(key="new", values={"killed": True}, by="user:olga")
    assert sorted(told()) == [
        "The definition of the flag new was changed: killed.",
        "user:olga has changed the definition of the flag new: killed.",
    ]


def test_a_scheduled_change_that_fails_for_good_is_told(cast: Cast) -> None:
    subscribe("schedule.failed")
    flag = service.create(key="new", values={}, by="user:olga")
    schedule = FlagSchedule.objects.create(
        flag=flag, flag_key="new", organization=cast.oslo, wanted={"enabled": True}, scheduled_at=timezone.now(),
        max_retries=1, created_by="user:olga",
    )  # fmt: skip
    record_failure(schedule, RuntimeError("lost"))
    assert not Event.objects.exists(), "it is tried again"
    FlagSchedule.objects.filter(pk=schedule.pk).update(retry_count=1)
    schedule.refresh_from_db()
    record_failure(schedule, RuntimeError("lost"))
    assert told() == [f"The scheduled change {schedule.pk} of the flag new has failed: RuntimeError: lost"]


def test_a_flag_that_becomes_stale_is_told_once(cast: Cast) -> None:
    subscribe("flag.stale")
    service.create(key="new", values={}, by="user:olga")
    assert tell_stale() == 0
    Flag.objects.update(expires_on=timezone.localdate() - timedelta(days=2))
    assert tell_stale() == 1
    assert tell_stale() == 0
    assert told() == ["The flag new is stale (expired). Remove it from the code."]
    Flag.objects.update(expires_on=timezone.localdate() + timedelta(days=9))
    assert tell_stale() == 0
    Flag.objects.update(expires_on=timezone.localdate() - timedelta(days=2))
    assert tell_stale() == 1, "it has become stale once more"


def test_every_event_has_a_sentence() -> None:
    assert set(events.all_events()) == {
        "batch.ended", "flag.changed", "flag.stale", "job.failed", "queue.paused", "schedule.failed", "worker.gone",
    }  # fmt: skip
