"""Scheduled changes in the admin site: who sees and does what, and what the pages show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules import plan
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.tests.schedules.plans import OPS, YEAR, as_of, let_come, planned
from flagsite.core.db.clock import now
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/flags/flagschedule/"
FIELDS = {"flag": "checkout", "enabled": "true", "time_zone": "Europe/Oslo", "reason": "launch"}


@pytest.fixture(autouse=True)
def checkout(db: None) -> Flag:
    return Flag.objects.create(key="checkout")


def page(schedule: FlagSchedule, operation: str = "") -> str:
    return f"{LIST}{schedule.pk}/{operation}/do/" if operation else f"{LIST}{schedule.pk}/change/"


def test_a_change_is_scheduled_by_the_form(cast: Cast) -> None:
    client = signed_in("operator")
    answer = client.post(f"{LIST}add/", FIELDS | {"organization": "oslo", "at": f"{YEAR}-01-31T09:00"})
    schedule = FlagSchedule.objects.get()
    assert answer["Location"] == page(schedule)
    assert (schedule.organization_id, schedule.wanted) == (cast.oslo.pk, {"enabled": True})
    assert schedule.scheduled_at == datetime(YEAR, 1, 31, 8, tzinfo=UTC)
    assert (schedule.created_by, schedule.reason) == ("user:pat", "launch")
    text = shown(client.get(page(schedule)))
    assert "Acme › North › Oslo" in text
    assert f"{YEAR}-01-31 08:00:00" in text


def test_the_form_makes_pairs_recurrences_and_changes_of_definitions(cast: Cast) -> None:
    client = signed_in("operator")

    def add(**more: str) -> Any:
        answer = client.post(f"{LIST}add/", FIELDS | more)
        assert answer.status_code == 302, shown(answer)
        return FlagSchedule.objects.latest("id")

    off = add(organization="oslo", at=f"{YEAR}-01-31T09:00", back_at=f"{YEAR}-02-01T09:00")
    assert (off.wanted, as_of(off.paired_with).wanted) == ({"enabled": False}, {"enabled": True})
    assert add(organization=str(cast.rome.pk), cron="0 9 * * 1").cron == "0 9 * * 1"
    definition = add(at=f"{YEAR}-01-31T09:00", rollout="12.5")
    assert (definition.organization_id, definition.wanted) == (None, {"enabled": True, "rolloutPercentage": 12.5})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"organization": "oslo"}, "either a time or a cron"),
        ({"organization": "oslo", "at": f"{YEAR}-01-31T09:00", "cron": "0 9 * * *"}, "either a time or a cron"),
        (
            {"organization": "nowhere", "at": f"{YEAR}-01-31T09:00"},
            "No organization that you may see",
        ),
        ({"organization": "oslo", "at": "2020-01-31T09:00"}, "is in the past"),
        ({"organization": "oslo", "at": "soon"}, "This is not a date and time"),
        ({"organization": "oslo", "at": f"{YEAR}-01-31T09:00", "rollout": "5"}, "belongs to the definition"),
        ({"organization": "oslo", "at": f"{YEAR}-01-31T09:00", "flag": "none"}, "There is no flag"),
        ({"organization": "oslo", "cron": "x"}, "five fields"),
    ],
)
def test_what_the_form_refuses_it_says(cast: Cast, more: dict[str, str], words: str) -> None:
    assert words in shown(signed_in("operator").post(f"{LIST}add/", FIELDS | more))
    assert not FlagSchedule.objects.exists()


def test_who_is_bound_sees_and_schedules_below_alone(cast: Cast) -> None:
    own, others, definition = planned(cast.oslo), planned(cast.rome), planned(None)
    client = signed_in("operator", bound_to=cast.north)
    text = shown(client.get(LIST))
    assert page(own) in text
    assert page(others) not in text
    assert page(definition) not in text
    agenda = shown(client.get(f"{LIST}agenda/"))
    assert page(own) in agenda
    assert "Acme" not in agenda  # above what they may see
    assert page(others) not in agenda
    for stranger in (others, definition):
        assert client.get(page(stranger)).status_code == 404
        assert client.post(page(stranger, "cancel"), {"confirmed": "1", "reason": "x"}).status_code == 404
    for place in ("rome", ""):
        client.post(f"{LIST}add/", FIELDS | {"organization": place, "at": f"{YEAR}-01-31T09:00"})
    assert FlagSchedule.objects.filter(status="pending").count() == 3


def test_viewers_look_and_operators_act(cast: Cast) -> None:
    schedule = planned(cast.oslo)
    viewer, operator = signed_in("viewer", name="vic"), signed_in("operator", name="olga")
    for path in (LIST, f"{LIST}agenda/", page(schedule)):
        assert viewer.get(path).status_code == 200
    for path in (f"{LIST}add/", page(schedule, "cancel"), page(schedule, "retry")):
        assert viewer.get(path).status_code == viewer.post(path, {"confirmed": "1", "reason": "x"}).status_code == 403
    assert page(schedule, "cancel") not in shown(viewer.get(page(schedule)))
    assert page(schedule, "cancel") in shown(operator.get(page(schedule)))
    assert as_of(schedule).status == "pending"


def test_cancelling_asks_why_and_keeps_it(cast: Cast) -> None:
    schedule, client = planned(cast.oslo), signed_in("operator")
    assert "Kept in the audit log" in shown(client.get(page(schedule, "cancel")))
    client.post(page(schedule, "cancel"), {"confirmed": "1", "reason": "called off"})
    assert as_of(schedule).status == "cancelled"
    entry = AuditEntry.objects.get(action="flag-schedule.cancel")
    assert (entry.actor, entry.reason, entry.via) == ("user:pat", "called off", "admin")
    again = client.post(page(schedule, "cancel"), {"confirmed": "1", "reason": "x"}, follow=True)
    assert "is cancelled and cannot be cancelled" in shown(again)


def test_those_that_are_ticked_are_retried(cast: Cast) -> None:
    failed, pending = planned(cast.oslo), planned(cast.rome)
    FlagSchedule.objects.filter(pk=failed.pk).update(status="failed", last_error="disk full", retry_count=3)
    client = signed_in("operator")
    assert "disk full" in shown(client.get(LIST))
    ticked = {"action": "retry", "_selected_action": [failed.pk, pending.pk], "confirmed": "1", "reason": "emptied"}
    said = shown(client.post(LIST, ticked, follow=True))
    assert "1 will be tried within seconds" in said
    assert "Only a failed schedule can be retried" in said
    assert (as_of(failed).status, as_of(failed).retry_count) == ("pending", 0)


def test_the_agenda_shows_what_came_what_comes_and_what_is_expected(cast: Cast) -> None:
    done, client = planned(cast.oslo), signed_in("viewer")
    apply_due()
    request = ScheduleRequest("checkout", cast.rome.pk)
    daily = plan.plan_recurring(OPS, request, wanted={"enabled": False}, cron="15 6 * * *", time_zone="UTC")
    this_month = shown(client.get(f"{LIST}agenda/"))
    assert page(done) in this_month
    assert "fs-status-applied" in this_month
    after = (now().replace(day=1) + timedelta(days=63)).strftime("%Y-%m")
    later = shown(client.get(f"{LIST}agenda/?month={after}"))
    assert later.count(page(daily)) >= 28
    assert "expected" in later
    assert client.get(f"{LIST}agenda/?month={YEAR}-99").status_code == 404
    assert client.get(f"{LIST}agenda/?month=9999-12").status_code == 404
    let_come(daily.pk, after=timedelta(days=400))
    before = (now() - timedelta(days=400)).strftime("%Y-%m")
    assert page(daily) in shown(client.get(f"{LIST}agenda/?month={before}"))


def test_what_recurs_often_is_one_line_of_each_day(cast: Cast) -> None:
    request = ScheduleRequest("checkout", cast.rome.pk)
    often, thrice = (
        plan.plan_recurring(OPS, request, wanted={"enabled": on}, cron=cron, time_zone="UTC")
        for on, cron in ((False, "*/5 * * * *"), (True, "0 6-8 * * *"))
    )
    after = (now().replace(day=1) + timedelta(days=63)).strftime("%Y-%m")
    agenda = shown(signed_in("viewer").get(f"{LIST}agenda/?month={after}"))
    days = agenda.count('class="fs-title"')
    assert days >= 28
    assert (agenda.count(page(often)), agenda.count(page(thrice))) == (days, days)
    assert agenda.count("and later, more than 12 times") == agenda.count("to 08:00, 3 times") == days


def test_what_came_of_a_series_on_one_day_is_one_line_for_each_way_it_ended(cast: Cast) -> None:
    first = planned(cast.oslo)
    FlagSchedule.objects.update(scheduled_at="2026-03-04T09:00:00Z")
    for hour, status in ((10, "applied"), (11, "applied"), (12, "failed")):
        each = planned(cast.oslo)
        FlagSchedule.objects.filter(pk=each.pk).update(series_id=first.pk, status=status, cron="0 1 * * *")
        FlagSchedule.objects.filter(pk=each.pk).update(scheduled_at=f"2026-03-04T{hour}:00:00Z")
    agenda = shown(signed_in("viewer").get(f"{LIST}agenda/?month=2026-03"))
    assert agenda.count("<tr>") - 1 == 3
    assert agenda.count("to 11:00, 2 times") == 1


@pytest.mark.parametrize("path", ["", "agenda/"])
def test_a_page_costs_the_same_however_much_it_shows(cast: Cast, path: str, django_assert_max_num_queries: Any) -> None:
    client = signed_in("viewer")
    for _ in range(20):
        planned(cast.oslo)
        planned(cast.rome, flag="other")
    with django_assert_max_num_queries(14):
        client.get(LIST + path)


def test_who_is_not_signed_in_is_sent_to_the_login(cast: Cast) -> None:
    for name in ("changelist", "agenda", "add"):
        assert Client().get(reverse(f"admin:flags_flagschedule_{name}")).status_code == 302


def test_a_row_of_what_failed_is_retried_with_one_click(cast: Cast) -> None:
    failed, pending = planned(cast.oslo), planned(cast.rome)
    FlagSchedule.objects.filter(pk=failed.pk).update(status="failed", retry_count=3)
    client = signed_in("operator")
    assert f'formaction="{page(pending, "retry")}"' not in shown(client.get(LIST))
    assert f'formaction="{page(failed, "retry")}"' in shown(client.get(LIST))
    answer = client.post(page(failed, "retry"), {"confirmed": "1"}, headers={"Referer": f"http://testserver{LIST}"})
    assert answer["Location"] == LIST
    assert as_of(failed).retry_count == 0
    assert "will be tried within seconds" in shown(client.get(LIST))
    assert "formaction" not in shown(signed_in("viewer", name="vic").get(LIST))


def test_each_row_that_waits_has_a_button_that_cancels_it_after_a_question(cast: Cast) -> None:
    waiting, gone, retried, failed = (planned(cast.oslo) for _ in range(4))
    FlagSchedule.objects.filter(pk=gone.pk).update(status="cancelled")
    FlagSchedule.objects.filter(pk__in=(retried.pk, failed.pk)).update(status="failed")
    FlagSchedule.objects.filter(pk=retried.pk).update(next_retry_at=now() + timedelta(hours=1))
    client = signed_in("operator")
    shown_list = shown(client.get(LIST))
    offered = [each for each in (waiting, gone, retried, failed) if f'href="{page(each, "cancel")}"' in shown_list]
    assert offered == [waiting, retried]
    assert "Cancel" in shown(client.get(page(waiting, "cancel")))
    client.post(page(waiting, "cancel"), {"confirmed": "1", "reason": "not now"})
    assert as_of(waiting).status == "cancelled"
    assert page(waiting, "cancel") not in shown(client.get(LIST))
    assert "/cancel/do/" not in shown(signed_in("viewer", name="vic").get(LIST))
