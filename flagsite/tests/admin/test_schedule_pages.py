"""Periodic tasks: when they last ran, and changes that beat sees and the audit log keeps."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from flagsite.admin_site.periodic_tasks import ScheduleAdmin
from jobs.engine.models import Job
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

PAGE = "/admin/django_celery_beat/periodictask/"


@pytest.fixture
def nightly() -> PeriodicTask:
    """A task at midnight."""
    midnight, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="0", timezone="UTC")
    return PeriodicTask.objects.create(name="nightly", task="jobs.clean_up", crontab=midnight)


def form_of(task: PeriodicTask, **changes: Any) -> dict[str, Any]:
    """What the page of the task sends when nothing but `changes` was changed."""
    form = {"name": task.name, "task": task.task, "description": "", "crontab": task.crontab_id, "enabled": "on"}
    return {name: value for name, value in (form | changes).items() if value is not None}


def test_an_administrator_moves_a_task_and_the_audit_log_has_both_times(nightly: PeriodicTask) -> None:
    hourly, _ = IntervalSchedule.objects.get_or_create(every=2, period="hours")
    changed_at = PeriodicTasks.last_change()
    answer = signed_in("admin").post(
        f"{PAGE}{nightly.pk}/change/", form_of(nightly, crontab=None, interval=hourly.pk, enabled=None)
    )
    assert answer.status_code == 302, answer.context["errors"]
    nightly.refresh_from_db()
    assert (nightly.interval, nightly.crontab, nightly.enabled) == (hourly, None, False)
    assert PeriodicTasks.last_change() != changed_at  # what beat looks at
    entry = AuditEntry.objects.latest("id")
    assert (entry.actor, entry.action, entry.subject) == ("user:pat", "schedule.change", "schedule:nightly")
    before, after = entry.details["before"], entry.details["after"]
    assert (before["crontab"], after["crontab"]) == ("0 0 * * * (m/h/dM/MY/d) UTC", None)
    assert (before["interval"], after["interval"]) == (None, "every 2 hours")
    assert (before["enabled"], after["enabled"]) == (True, False)


def test_a_task_has_one_schedule(nightly: PeriodicTask) -> None:
    hourly, _ = IntervalSchedule.objects.get_or_create(every=2, period="hours")
    client = signed_in("admin")
    for schedule in ({"interval": hourly.pk}, {"crontab": ""}):  # both, and none
        page = shown(client.post(f"{PAGE}{nightly.pk}/change/", form_of(nightly, **schedule)))
        assert "Choose either an interval or a crontab." in page
        assert "solar" not in page
    nightly.refresh_from_db()
    assert nightly.interval is None


def test_only_tasks_that_workers_know_can_be_scheduled(nightly: PeriodicTask) -> None:
    page = shown(signed_in("admin").get(f"{PAGE}add/"))
    assert '<option value="jobs.sweep"' in page
    assert "celery.backend_cleanup" not in page
    shown(signed_in("admin", name="ada").post(f"{PAGE}add/", form_of(nightly, name="bad") | {"task": "os.system"}))
    assert not PeriodicTask.objects.filter(name="bad").exists()


@pytest.mark.parametrize("day", ["mon#1", "SUN#2", "mon-fri#1"])
def test_a_crontab_that_is_understood_only_in_part_is_refused_in_words(nightly: PeriodicTask, day: str) -> None:
    form = {"minute": "0", "hour": "9", "day_of_month": "*", "month_of_year": "*", "timezone": "UTC"}
    path = f"/admin/django_celery_beat/crontabschedule/{nightly.crontab_id}/change/"
    page = signed_in("admin").post(path, {**form, "day_of_week": day})
    assert page.status_code == 200
    assert "such as #, L, W and ?, are not understood" in page.content.decode()
    nightly.crontab.refresh_from_db()
    assert nightly.crontab.day_of_week == "*"


def test_a_changed_crontab_is_recorded_and_its_time_zone_kept(nightly: PeriodicTask) -> None:
    crontab = nightly.crontab
    form = {"minute": "30", "hour": "3", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*",
            "timezone": "Europe/Oslo"}  # fmt: skip
    path = f"/admin/django_celery_beat/crontabschedule/{crontab.pk}/change/"
    assert signed_in("admin").post(path, form).status_code == 302
    crontab.refresh_from_db()
    assert (crontab.hour, str(crontab.timezone)) == ("3", "Europe/Oslo")
    entry = AuditEntry.objects.latest("id")
    assert (entry.details["before"]["hour"], entry.details["after"]["timezone"]) == ("0", "Europe/Oslo")


def test_a_deleted_task_is_recorded(nightly: PeriodicTask) -> None:
    client = signed_in("admin")
    answer = client.post(PAGE, {"action": "delete_selected", "_selected_action": [nightly.pk], "post": "yes"})
    assert answer.status_code == 302
    assert not PeriodicTask.objects.filter(pk=nightly.pk).exists()
    assert AuditEntry.objects.latest("id").action == "schedule.delete"


@pytest.mark.parametrize("from_list", [False, True])
def test_a_schedule_that_a_task_goes_by_stays(nightly: PeriodicTask, from_list: bool) -> None:
    crontab = nightly.crontab
    path = "/admin/django_celery_beat/crontabschedule/"
    form = {"post": "yes"} | ({"action": "delete_selected", "_selected_action": [crontab.pk]} if from_list else {})
    client = signed_in("admin")
    page = shown(client.post(path if from_list else f"{path}{crontab.pk}/delete/", form))
    assert "Periodic task: nightly" in page
    assert PeriodicTask.objects.filter(pk=nightly.pk).exists()
    PeriodicTask.objects.filter(crontab=crontab).delete()
    assert client.post(path if from_list else f"{path}{crontab.pk}/delete/", form).status_code == 302
    assert not CrontabSchedule.objects.filter(pk=crontab.pk).exists()
    assert AuditEntry.objects.latest("id").action == "schedule.delete"


def test_a_run_that_beat_notes_while_a_person_saves_the_task_is_kept(
    nightly: PeriodicTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    save = ScheduleAdmin.save_model

    def save_late(self: Any, request: Any, obj: Any, form: Any, change: Any) -> None:
        PeriodicTask.objects.filter(pk=obj.pk).update(last_run_at=now, total_run_count=7)
        save(self, request, obj, form, change)

    monkeypatch.setattr(ScheduleAdmin, "save_model", save_late)
    form = form_of(nightly, description="Cleans up.")
    assert signed_in("admin").post(f"{PAGE}{nightly.pk}/change/", form).status_code == 302
    nightly.refresh_from_db()
    assert (nightly.description, nightly.last_run_at, nightly.total_run_count) == ("Cleans up.", now, 7)


def test_the_list_tells_when_a_task_last_ran(nightly: PeriodicTask) -> None:
    client = signed_in("viewer")
    assert "never" in shown(client.get(PAGE))
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=3))
    page = shown(client.get(PAGE))
    assert re.search("3 min( [0-9]+ s)? ago", page)
    assert "0 0 * * *" in page


def test_the_list_takes_as_many_queries_for_many_tasks_as_for_few(
    nightly: PeriodicTask, django_assert_max_num_queries: Any
) -> None:
    client = signed_in("viewer")
    counts = []
    for size in (1, 6):
        for number in range(size):
            PeriodicTask.objects.create(name=f"t{size}-{number}", task="jobs.sweep", crontab=nightly.crontab)
        with django_assert_max_num_queries(10) as queries:
            shown(client.get(PAGE))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_selected_tasks_run_now_after_a_question_with_a_reason(nightly: PeriodicTask) -> None:
    client = signed_in("operator")
    chosen = {"action": "run", "_selected_action": [nightly.pk]}
    question = shown(client.post(PAGE, chosen))
    assert "nightly: jobs.clean_up" in question
    assert not Job.objects.exists()
    page = shown(client.post(PAGE, chosen | {"confirmed": "1", "reason": "The disk is full."}, follow=True))
    assert "nightly runs now." in page
    assert Job.objects.get().kind == "cleanup"
    entry = AuditEntry.objects.get(action="schedule.run")
    assert (entry.actor, entry.reason) == ("user:pat", "The disk is full.")
    nightly.refresh_from_db()
    assert (nightly.last_run_at, nightly.total_run_count) == (None, 0)


def test_who_only_looks_does_not_run_tasks(nightly: PeriodicTask) -> None:
    signed_in("viewer").post(PAGE, {"action": "run", "_selected_action": [nightly.pk], "confirmed": "1"})
    assert not Job.objects.exists()
