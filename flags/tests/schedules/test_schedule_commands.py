"""schedules, schedule_flag, cancel_schedule, retry_schedule: what they do, print and refuse."""

from __future__ import annotations

from datetime import timedelta

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.tests.schedules.plans import YEAR, as_of, let_come
from flagsite.core.db.clock import now
from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def checkout(db: None) -> Flag:
    return Flag.objects.create(key="checkout")


def test_a_flag_is_scheduled_listed_and_applied(cast: Cast) -> None:
    ran = run("schedule_flag", "oslo", "checkout", "on", "--at", f"{YEAR}-01-31T09:00:00+01:00", "--reason", "launch")
    schedule = FlagSchedule.objects.get()
    where = f"oslo (id {cast.oslo.pk}) and everything below"
    words = f"checkout will be on for {where} at {YEAR}-01-31 08:00:00 UTC: schedule {schedule.pk}.\n"
    assert (ran.status, ran.out) == (0, words)
    assert (schedule.created_by, schedule.correlation_id[:8]) == (OLGA, "command-")
    assert audit_entries() == [(OLGA, "flag-schedule.create", schedule.subject, "launch", "command")]
    heading, row = run("schedules", "--organization", "oslo").lines
    assert heading.split() == ["ID", "When", "(UTC)", "Flag", "What", "Where", "Status", "By", "Error"]
    assert row.split() == [str(schedule.pk), f"{YEAR}-01-31", "08:00:00", "checkout", "on", "oslo", "pending", OLGA]
    let_come(schedule.pk)
    apply_due()
    document = run("schedules", "--json", "--status", "applied").document
    assert [(result["id"], result["firstTry"]) for result in document["results"]] == [(schedule.pk, True)]


def test_from_now_on_and_again_and_again(cast: Cast) -> None:
    soon = run("schedule_flag", "oslo", "checkout", "off", "--at", "2h", "--max-retries", "0", "--json").document
    assert (soon["maxRetries"], soon["apply"]) == (0, {"enabled": False})
    left = as_of(FlagSchedule.objects.get()).scheduled_at - now()
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)
    cron = f"0 {(now().hour + 12) % 24} * * 1-5"  # not in the next three hours
    ran = run("schedule_flag", "oslo", "checkout", "on", "--cron", cron, "--time-zone", "Europe/Oslo")
    assert ", then again and again: schedule" in ran.out
    assert f"on ({cron} Europe/Oslo)" in "".join(run("schedules").lines)
    ahead = run("schedules", "--json", "--from", "1h", "--to", "3h").document["results"]
    assert [result["id"] for result in ahead] == [soon["id"]]


def test_cancelling_and_retrying_several(cast: Cast) -> None:
    words = ["schedule_flag", "oslo", "checkout", "on", "--at", "1h", "--json"]
    first, second = (run(*words).document["id"] for _ in range(2))
    ran = run("cancel_schedule", first, first, 10**9, "--reason", "no")
    assert (ran.status, ran.lines) == (
        1, [f"{first}: cancelled", f"{10**9}: The schedule does not exist, or you may not see it."],
    )  # fmt: skip
    refusal = f"{second}: Schedule {second} is pending. Only a failed schedule can be retried."
    assert run("retry_schedule", second).lines == [refusal]
    FlagSchedule.objects.filter(pk=second).update(status="failed", last_error="x")
    again = run("retry_schedule", second, "--json")
    assert (again.status, again.document["results"][0]["status"]) == (0, "pending")


def test_the_next_occurrence_of_a_recurring_one_is_listed_and_named_where_a_past_one_cannot_be_cancelled(
    cast: Cast,
) -> None:
    first = run("schedule_flag", "oslo", "checkout", "on", "--cron", "0 9 * * *", "--json").document["id"]
    let_come(first)
    apply_due()
    listed = run("schedules", "--series", first, "--json").document["results"]
    following, applied = (result["id"] for result in listed)
    assert applied == first
    refusal = f"Schedule {first} is applied and cannot be cancelled. Its next occurrence is {following}."
    assert run("cancel_schedule", first).lines == [f"{first}: {refusal}"]
    assert run("cancel_schedule", following).lines == [f"{following}: cancelled"]


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["oslo", "nothing", "on", "--at", "1h"], "There is no flag 'nothing'.", 1),
        (["nowhere", "checkout", "on", "--at", "1h"], "There is no organization with the key or id 'nowhere'.", 1),
        (["oslo", "checkout", "on", "--at", "2020-01-01"], "is in the past", 1),
        (["oslo", "checkout", "on", "--cron", "x"], "five fields", 1),
    ],
)
def test_what_is_refused(cast: Cast, arguments: list[str], words: str, status: int) -> None:
    ran = run("schedule_flag", *arguments)
    assert words in ran.error
    assert ran.status == status
