"""Periodic tasks over HTTP: what they hold, what is refused, and what the audit log keeps."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from kombu.exceptions import OperationalError as BrokerAway

from conftest import Cast, _key
from flagsite.periodic_tasks import operations
from jobs.engine.models import Job
from jobs.errors import PeriodicTaskNotFound
from jobs.tasks import rescue
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of, wrong_fields

PATH = "/v1/periodic-tasks"
NIGHTLY = {"name": "nightly", "task": "jobs.clean_up", "crontab": {"minute": "30", "hour": "2"}}


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture(autouse=True)
def sweep(db: None) -> PeriodicTask:
    """The task of a migration, also after a test that has emptied all tables."""
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    task, _ = PeriodicTask.objects.get_or_create(name="sweep", defaults={"task": "jobs.sweep", "interval": every})
    return task


def made(api: Api, **more: Any) -> dict[str, Any]:
    response = api.post(PATH, NIGHTLY | more)
    assert response.status_code == 201, response.content
    return dict(response.json())


def test_a_task_is_created_with_its_crontab_and_beat_hears_of_it(api: Api) -> None:
    before = PeriodicTasks.last_change()
    task = made(api, reason="Nights are quiet.")
    assert task["crontab"] == {
        "minute": "30", "hour": "2", "dayOfMonth": "*", "monthOfYear": "*", "dayOfWeek": "*", "timeZone": "UTC",
    }  # fmt: skip
    assert (task["enabled"], task["interval"], task["lastRunAt"], task["totalRunCount"]) == (True, None, None, 0)
    assert api.get(f"{PATH}/{task['id']}").json() == task
    assert task in api.get(PATH).json()["results"]
    assert PeriodicTasks.last_change() != before
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.reason) == ("schedule.create", "schedule:nightly", "Nights are quiet.")


def test_a_repeated_request_creates_one_task(api: Api) -> None:
    first, second = (api.post(PATH, NIGHTLY, Idempotency_Key="once") for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (201, first.json())


def test_a_change_leaves_the_rest_alone_and_an_interval_takes_the_place_of_the_crontab(api: Api) -> None:
    task = made(api, description="Deletes.")
    changed = api.patch(f"{PATH}/{task['id']}", {"interval": {"every": 2, "period": "hours"}}).json()
    assert changed == task | {"interval": {"every": 2, "period": "hours"}, "crontab": None}
    assert not CrontabSchedule.objects.filter(minute="30", hour="2").exists()  # no other task used it
    assert api.patch(f"{PATH}/{task['id']}", {"enabled": False}).json() == changed | {"enabled": False}
    entry = AuditEntry.objects.latest("id")
    assert (entry.details["before"]["enabled"], entry.details["after"]["enabled"]) == (True, False)


def test_tasks_share_equal_crontabs_until_the_last_of_them_is_gone(api: Api) -> None:
    first, second = made(api)["id"], made(api, name="other")["id"]
    assert CrontabSchedule.objects.filter(minute="30", hour="2").count() == 1
    assert api.delete(f"{PATH}/{first}").status_code == 204
    assert api.get(f"{PATH}/{second}").json()["crontab"]["hour"] == "2"
    assert api.delete(f"{PATH}/{second}").status_code == 204
    assert not CrontabSchedule.objects.filter(minute="30", hour="2").exists()
    assert kind_of(api.get(f"{PATH}/{second}")) == "periodic-task-not-found"
    assert kind_of(api.delete(f"{PATH}/{second}")) == "periodic-task-not-found"
    assert kind_of(api.patch(f"{PATH}/{second}", {"enabled": True})) == "periodic-task-not-found"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"crontab": {"dayOfWeek": "mon#1"}}, "crontab.dayOfWeek"),
        ({"crontab": {"dayOfMonth": "L"}}, "crontab.dayOfMonth"),
        ({"crontab": {"hour": "25"}}, "crontab.hour"),
        ({"crontab": {"dayOfMonth": "31", "monthOfYear": "2"}}, "never occurs"),
        ({"crontab": {"timeZone": "Europe/Nowhere"}}, "crontab.timeZone"),
        ({"crontab": None}, "either an interval or a crontab"),
        ({"interval": {"every": 1, "period": "days"}}, "either an interval or a crontab"),
        ({"crontab": None, "interval": {"every": 2**31 - 1, "period": "days"}}, "interval.every"),
        ({"task": "os.system"}, "jobs.clean_up"),  # the message lists what workers know
        ({"task": "celery.backend_cleanup"}, "task"),
        ({"name": "sweep"}, "name"),  # another task has it
    ],
)
def test_a_task_that_beat_could_not_send_is_refused_in_words(api: Api, changes: Any, named: str) -> None:
    count = PeriodicTask.objects.count(), CrontabSchedule.objects.count(), IntervalSchedule.objects.count()
    response = api.post(PATH, NIGHTLY | changes)
    assert (response.status_code, kind_of(response)) == (400, "invalid-periodic-task")
    assert named in response.json()["detail"]
    assert count == (PeriodicTask.objects.count(), CrontabSchedule.objects.count(), IntervalSchedule.objects.count())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": None}, "name"), ({"enabled": "yes"}, "enabled"), ({"kwargs": "{}"}, "kwargs"),
        ({"expireSeconds": 0}, "expireSeconds"), ({"startTime": "soon"}, "startTime"),
        ({"interval": {"every": 0, "period": "days"}}, "interval.every"),
        ({"interval": {"every": 1, "period": "years"}}, "interval.period"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(api: Api, changes: Any, field: str) -> None:
    assert field in wrong_fields(api.post(PATH, NIGHTLY | changes))
    assert wrong_fields(api.patch(f"{PATH}/1", {})) == {""}


def test_bound_keys_see_and_change_no_periodic_task(cast: Cast) -> None:
    task, bound = PeriodicTask.objects.get(name="sweep"), Api(_key("bound", Role.ADMIN, cast.acme))
    calls = [("GET", PATH), ("POST", PATH)] + [(method, f"{PATH}/{task.pk}") for method in ("GET", "PATCH", "DELETE")]
    for method, path in calls:
        assert kind_of(bound.send(method, path, NIGHTLY if method == "POST" else None)) == "outside-of-your-subtree"
    assert operations.find("sweep").enabled


def test_a_task_is_found_by_name_and_by_id(db: None) -> None:
    task = PeriodicTask.objects.get(name="sweep")
    assert operations.find("sweep") == operations.find(task.pk) == operations.find(str(task.pk)) == task
    with pytest.raises(PeriodicTaskNotFound):
        operations.find("nowhere")


def test_a_task_is_run_now_and_its_times_stay(api: Api) -> None:
    task = made(api, enabled=False)
    answer = api.post(f"{PATH}/{task['id']}/run", {"reason": "The disk is full."})
    assert (answer.status_code, answer.json()) == (202, task)
    assert Job.objects.get().kind == "cleanup"
    entry = AuditEntry.objects.get(action="schedule.run")
    assert (entry.subject, entry.reason, entry.details) == (
        "schedule:nightly", "The disk is full.", entry.details | {"task": "jobs.clean_up"}
    )  # fmt: skip
    assert kind_of(api.post(f"{PATH}/{2**40}/run")) == "periodic-task-not-found"


def test_a_task_that_needs_the_broker_is_sent_and_a_broker_that_is_away_is_a_503(
    api: Api, sweep: PeriodicTask, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(rescue, "apply_async", lambda *_, **__: sent.append("sweep"))
    assert api.post(f"{PATH}/{sweep.pk}/run").status_code == 202
    assert sent == ["sweep"]

    def refuse(*_: Any, **__: Any) -> None:
        raise BrokerAway

    monkeypatch.setattr(rescue, "apply_async", refuse)
    assert kind_of(api.post(f"{PATH}/{sweep.pk}/run")) == "periodic-task-not-sent"
    assert AuditEntry.objects.filter(action="schedule.run").count() == 1
    settings.JOBS_INLINE = True
    assert api.post(f"{PATH}/{sweep.pk}/run").status_code == 202


def test_a_task_that_workers_do_not_know_any_more_is_not_run(api: Api) -> None:
    gone = PeriodicTask.objects.create(name="gone", task="shop.gone", interval=IntervalSchedule.objects.first())
    assert kind_of(api.post(f"{PATH}/{gone.pk}/run")) == "invalid-periodic-task"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dayOfWeek": "7"}, "Sunday is 0"),
        ({"dayOfWeek": "1-7"}, "0 to 6, and not 7"),
        ({"dayOfMonth": "30", "monthOfYear": "2"}, "never occurs"),
        ({"dayOfMonth": "31", "monthOfYear": "4,6,9,11"}, "never occurs"),
        ({"dayOfMonth": "0"}, "1 to 31, and not 0"),
        ({"monthOfYear": "13"}, "1 to 12, and not 13"),
        ({"hour": "24"}, "0 to 23, and not 24"),
        ({"minute": "0-60"}, "0 to 59, and not 60"),
    ],
)
def test_a_crontab_that_never_comes_is_refused_in_words(api: Api, fields: dict[str, str], message: str) -> None:
    answer = api.post(PATH, NIGHTLY | {"crontab": fields})
    assert kind_of(answer) == "invalid-periodic-task"
    assert message in answer.json()["detail"]
    assert not CrontabSchedule.objects.filter(day_of_month__in=("30", "31", "0")).exists()
