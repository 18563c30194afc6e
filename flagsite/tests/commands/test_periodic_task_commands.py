"""The commands of periodic tasks."""

from __future__ import annotations

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db
NIGHTLY = ("create_periodic_task", "nightly", "--task", "jobs.clean_up", "--cron", "30 2 * * *")


def test_a_task_is_created_changed_listed_and_deleted_each_with_a_reason() -> None:
    made = run(*NIGHTLY, "--time-zone", "Europe/Oslo", "--reason", "quiet nights", "--json").document
    assert (made["crontab"]["hour"], made["crontab"]["timeZone"], made["enabled"]) == ("2", "Europe/Oslo", True)
    changed = run("change_periodic_task", "nightly", "--every", "2", "hours", "--disable", "--reason", "less", "--json")
    assert changed.document == made | {"interval": {"every": 2, "period": "hours"}, "crontab": None, "enabled": False}
    assert changed.document in run("periodic_tasks", "--json").document["results"]
    assert "disabled" in next(line for line in run("periodic_tasks").lines if " nightly " in line)
    assert run("delete_periodic_task", made["id"], "--reason", "gone").lines == ["nightly is deleted."]
    assert not PeriodicTask.objects.filter(name="nightly").exists()
    assert not CrontabSchedule.objects.filter(minute="30", hour="2").exists()
    about_it = [entry for entry in audit_entries() if entry[2] == "schedule:nightly"]
    assert about_it == [
        (OLGA, f"schedule.{what}", "schedule:nightly", why, "command")
        for what, why in (("create", "quiet nights"), ("change", "less"), ("delete", "gone"))
    ]


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (
            ("create_periodic_task", "x", "--task", "jobs.clean_up"),
            "one of the arguments --every --cron is required",
            1,
        ),
        (("create_periodic_task", "x", "--task", "no.such", "--every", "1", "days"), "jobs.clean_up", 1),
        (("create_periodic_task", "x", "--task", "jobs.clean_up", "--cron", "0 9 * * mon#1"), "not understood", 1),
        (("create_periodic_task", "x", "--task", "jobs.clean_up", "--cron", "0 9 *"), "five fields", 2),
        (("create_periodic_task", "x", "--task", "jobs.clean_up", "--every", "0", "days"), "not an interval", 2),
        (("create_periodic_task", "x", "--task", "jobs.clean_up", "--every", "1", "years"), "not an interval", 2),
        (("create_periodic_task", "x", "--every", "1", "days"), "--task", 2),
        (("change_periodic_task", "sweep", "--time-zone", "Europe/Oslo"), "--cron", 2),
        (("change_periodic_task", "sweep"), "Nothing to change", 2),
        (("change_periodic_task", "nowhere", "--disable"), "no such periodic task", 1),
        (("delete_periodic_task", "nowhere"), "no such periodic task", 1),
    ],
)
def test_what_is_wrong_is_refused_in_words(arguments: tuple[str, ...], words: str, status: int) -> None:
    before = list(PeriodicTask.objects.values_list("name", "enabled"))
    ran = run(*arguments)
    assert (ran.status, words in ran.error) == (status, True), ran.error
    assert list(PeriodicTask.objects.values_list("name", "enabled")) == before
