"""What runs later, over HTTP: later jobs, periodic tasks, the schedule of a kind, and the beat at work."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from conftest import Cast, _key
from flagsite.beat import BEAT_LOCK
from flagsite.core.adapters.django_orm import direct_parameters
from flagsite.periodic_tasks import scheduled
from jobs.engine.models import Job
from jobs.operations.enqueue import enqueue
from jobs.tests.operations.test_enqueueing import KIND
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tests.commands import run

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)
NIGHTLY = {"crontab": {"minute": "30", "hour": "1", "timeZone": "Europe/Oslo"}}


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    PeriodicTask.objects.all().delete()
    return Api(admin_key)


def later(**more: Any) -> Job:
    return enqueue(kind=KIND, arguments={"upTo": 1}, run_at=timezone.now() + LATER, **more).job


def task(**columns: Any) -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=2, period="hours")
    return PeriodicTask.objects.create(**{"name": "sweep", "task": "jobs.sweep", "interval": every} | columns)


def test_later_jobs_and_periodic_tasks_are_one_list(api: Api, cast: Cast) -> None:
    last_run = timezone.now() - timedelta(minutes=30)
    sweep = task(last_run_at=last_run)
    crontab = CrontabSchedule.objects.create(minute="30", hour="2", day_of_week="0", timezone="Europe/Oslo")
    off = task(name="off", enabled=False, interval=None, crontab=crontab)
    job = later(organization_id=cast.acme.pk)
    enqueue(kind=KIND, arguments={"upTo": 1})
    rows = api.get("/v1/queue/scheduled").json()["results"]
    assert [row["id"] for row in rows] == [f"task-{sweep.pk}", f"task-{off.pk}", f"job-{job.pk}"]
    assert (rows[0]["everySeconds"], rows[0]["cron"], rows[0]["name"]) == (7200, None, "sweep")
    due = datetime.fromisoformat(rows[0]["nextRunAt"]) - last_run - timedelta(hours=2)
    assert abs(due) < timedelta(seconds=30)
    assert (rows[1]["cron"], rows[1]["timeZone"], rows[1]["nextRunAt"]) == ("30 2 * * 0", "Europe/Oslo", None)
    assert (rows[2]["queue"], rows[2]["arguments"], rows[2]["organizationId"]) == (
        "default", {"upTo": 1, "step": 1}, cast.acme.pk,
    )  # fmt: skip


def test_the_jobs_come_in_pages_and_the_tasks_on_the_first_of_them(api: Api) -> None:
    task()
    jobs = [later() for _ in range(3)]
    first = api.get("/v1/queue/scheduled?pageSize=2").json()
    assert len(first["results"]) == 3
    rest = api.get(first["next"].partition("testserver")[2]).json()
    assert ([row["id"] for row in rest["results"]], rest["next"]) == ([f"job-{jobs[2].pk}"], None)


def test_scheduled_work_is_removed_by_its_id(api: Api, cast: Cast) -> None:
    job, sweep = later(), task()
    removed = api.send("DELETE", f"/v1/queue/scheduled/job-{job.pk}", {"reason": "why"})
    assert removed.json() == {"id": f"job-{job.pk}", "removed": "cancelled"}
    job.refresh_from_db()
    assert (job.status, job.cancel_reason) == ("CANCELLED", "why")
    address = f"/v1/queue/scheduled/task-{sweep.pk}"
    assert kind_of(Api(_key("op", Role.OPERATOR)).send("DELETE", address)) == "not-permitted"
    assert kind_of(Api(_key("ad", Role.ADMIN, cast.north)).send("DELETE", address)) == "outside-of-your-subtree"
    assert api.send("DELETE", address).json()["removed"] == "deleted"
    assert not PeriodicTask.objects.exists()
    assert kind_of(api.send("DELETE", address)) == "periodic-task-not-found"
    assert kind_of(api.send("DELETE", f"/v1/queue/scheduled/job-{job.pk}")) == "job-not-cancellable"
    for name in ("17", "job-", "job-x", "plan-3", "job-999999999999999999999"):
        assert kind_of(api.send("DELETE", f"/v1/queue/scheduled/{name}")) == "scheduled-not-found"


def test_a_bound_key_sees_and_cancels_the_later_jobs_of_its_subtree(api: Api, cast: Cast) -> None:
    task()
    inside, outside = later(organization_id=cast.oslo.pk), later(organization_id=cast.rome.pk)
    bound = Api(_key("bound", Role.OPERATOR, cast.north))
    assert [row["id"] for row in bound.get("/v1/queue/scheduled").json()["results"]] == [f"job-{inside.pk}"]
    assert kind_of(bound.send("DELETE", f"/v1/queue/scheduled/job-{outside.pk}")) == "job-not-found"
    assert bound.send("DELETE", f"/v1/queue/scheduled/job-{inside.pk}").status_code == 200
    assert kind_of(bound.get("/v1/queue/scheduler/status")) == "outside-of-your-subtree"


def test_the_schedule_of_a_kind_is_made_and_then_changed(api: Api) -> None:
    made = api.post(f"/v1/queue/schedule/{KIND}", NIGHTLY | {"arguments": {"upTo": 5}, "reason": "why"})
    assert made.status_code == 201, made.content
    row = PeriodicTask.objects.get(pk=made.json()["id"])
    assert (row.name, row.task) == (f"enqueue {KIND}", "jobs.enqueue")
    assert json.loads(row.kwargs) == {"kind": KIND, "arguments": {"upTo": 5}}
    assert AuditEntry.objects.latest("id").reason == "why"
    changed = api.post(f"/v1/queue/schedule/{KIND}", {"enabled": False})
    assert (changed.status_code, changed.json()["id"], changed.json()["enabled"]) == (200, row.pk, False)
    assert changed.json()["keywordArguments"] == {"kind": KIND, "arguments": {"upTo": 5}}
    assert changed.json()["crontab"]["timeZone"] == "Europe/Oslo"
    other = api.post(f"/v1/queue/schedule/{KIND}", NIGHTLY | {"name": "second", "arguments": {"upTo": 1}})
    assert (other.status_code, other.json()["name"]) == (201, "second")


def test_the_daily_clean_up_is_the_schedule_of_its_kind(api: Api) -> None:
    daily = task(name="clean up", task="jobs.clean_up")
    changed = api.post("/v1/queue/schedule/cleanup", NIGHTLY).json()
    assert (changed["id"], changed["keywordArguments"]) == (daily.pk, {"kind": "cleanup"})
    assert (changed["interval"], changed["crontab"]["hour"]) == (None, "1")


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("mist", NIGHTLY, "unknown-kind"),
        (KIND, NIGHTLY | {"arguments": {"upTo": 0}}, "invalid-periodic-task"),
        (KIND, NIGHTLY, "invalid-periodic-task"),
        ("cleanup", {}, "invalid-periodic-task"),
        ("cleanup", {"crontab": {"hour": "25"}}, "invalid-periodic-task"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(api: Api, kind: str, body: dict[str, Any], problem: str) -> None:
    assert kind_of(api.post(f"/v1/queue/schedule/{kind}", body)) == problem
    assert not PeriodicTask.objects.exists()


def test_a_periodic_task_takes_only_what_its_task_takes(api: Api) -> None:
    body = NIGHTLY | {"name": "mine", "task": "jobs.enqueue"}
    for arguments, words in (
        ({"kind": "mist"}, "can be enqueued"),
        ({"kind": KIND, "arguments": {}}, "arguments.upTo: This argument is required."),
        ({"sort": KIND}, "does not take this"),
    ):
        answer = api.post("/v1/periodic-tasks", body | {"keywordArguments": arguments})
        assert (kind_of(answer), words in answer.json()["detail"]) == ("invalid-periodic-task", True), answer.json()
    given = {"kind": KIND, "arguments": {"upTo": 2}}
    assert api.post("/v1/periodic-tasks", body | {"keywordArguments": given}).json()["keywordArguments"] == given
    wrong = api.post("/v1/periodic-tasks", NIGHTLY | {"name": "x", "task": "jobs.sweep", "keywordArguments": {"a": 1}})
    assert kind_of(wrong) == "invalid-periodic-task"
    assert wrong_fields(api.post("/v1/periodic-tasks", body | {"keywordArguments": 1})) == {"keywordArguments"}
    options = ("--task", "jobs.enqueue", "--every", "2", "hours", "--keyword-arguments", json.dumps(given))
    assert run("create_periodic_task", "by command", *options, "--json").document["keywordArguments"] == given


def test_the_status_of_beat_says_who_is_at_work_and_what_comes_next(api: Api) -> None:
    last_run = timezone.now() - timedelta(minutes=30)
    task(last_run_at=last_run)
    task(name="off", enabled=False)
    idle = api.get("/v1/queue/scheduler/status").json()
    assert (idle["running"], idle["since"], idle["nextTask"]) == (False, None, "sweep")
    assert datetime.fromisoformat(idle["lastTickAt"]) == last_run


def test_the_status_of_beat_says_since_when_it_is_at_work(api: Api) -> None:
    with psycopg.connect(**direct_parameters(), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", [BEAT_LOCK])
        busy = api.get("/v1/queue/scheduler/status").json()
    assert busy["running"] is True
    assert busy["since"] is not None


def test_a_crontab_comes_at_a_whole_minute(api: Api) -> None:
    midnight = CrontabSchedule.objects.create(minute="0", hour="0", timezone="UTC")
    nightly = task(interval=None, crontab=midnight)
    due = scheduled.next_run_at(nightly)
    assert due is not None
    assert (due.hour, due.minute, due.second, due.microsecond) == (0, 0, 0, 0)
    assert timedelta() < due - timezone.now() <= timedelta(days=1)


def test_a_missed_run_is_due_at_once_and_one_with_a_start_waits_for_it(api: Api) -> None:
    missed = task(last_run_at=timezone.now() - timedelta(days=3))
    due = scheduled.next_run_at(missed)
    assert due is not None
    assert due <= timezone.now()
    start = timezone.now() + timedelta(days=9)
    assert scheduled.next_run_at(task(name="other", start_time=start)) == start
