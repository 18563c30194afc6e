"""doctor: each thing that can be wrong is found, with what to do, and the exit status tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from conftest import Cast
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flagsite.beat import BEAT_LOCK
from flagsite.core.adapters.django_orm import direct_parameters
from flagsite.health import doctor
from flagsite.health.doctor import infrastructure_checks, output_checks
from jobs.engine import worker_registry
from jobs.engine.models import Job, Queue
from jobs.engine.worker_model import Worker
from jobs.metrics import probe_job
from jobs.metrics.models import Probe
from jobs.notifications import subscriptions
from jobs.notifications.models import Delivery
from jobs.notifications.subscriptions import Wish
from jobs.operations import queue_operations
from jobs.operations.enqueue import enqueue
from jobs.tests.engine_steps import LONG_AGO, QUEUE, changed, claimed, waiting
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.commands import OLGA, run
from orgs.tests.failing_queries import failing_queries

pytestmark = pytest.mark.django_db
NAMES = [
    "settings",
    "database",
    "migrations",
    "clock",
    "listener",
    "broker",
    "beat",
    "periodic",
    "states",
    "workers",
    "queues",
    "kinds",
    "rescue",
    "canary",
    "notifications",
    "artifacts",
]


def found(name: str) -> tuple[str, str, str]:
    """State, finding and advice of one check."""
    result = dict(doctor.run_checks())[name]
    return result.severity.value, result.message, result.advice


@pytest.fixture
def all_well() -> Iterator[None]:
    """A beat that ticks and a worker for each queue."""
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    PeriodicTask.objects.update_or_create(
        task="jobs.sweep", defaults={"name": "sweep", "interval": every, "enabled": True, "last_run_at": Now()}
    )
    worker_registry.beat(queues=list(Queue.objects.values_list("name", flat=True)), concurrency=2, pid=1)
    canary_came_through(timedelta())
    with beat_lock():
        yield


def canary_came_through(ago: timedelta) -> None:
    Probe.objects.update_or_create(queue=probe_job.QUEUE, defaults={"returned_at": Now() - ago})


@contextmanager
def beat_lock() -> Iterator[None]:
    with psycopg.connect(**direct_parameters(), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", [BEAT_LOCK])
        yield


def test_where_all_is_well_it_says_so(all_well: None) -> None:
    ran = run("doctor")
    assert ran.status == 0, ran.out
    assert ran.lines[-1] == "No problems."
    assert [line.split()[:2] for line in ran.lines[:-1]] == [["✓", name] for name in NAMES]
    document = run("doctor", "--json").document
    assert document["healthy"] is True
    assert [(one["name"], one["state"], one["advice"]) for one in document["checks"]] == [
        (name, "ok", "") for name in NAMES
    ]


def test_a_problem_comes_with_advice_and_exit_status_1(all_well: None) -> None:
    worker_registry.leave()
    ran = run("doctor")
    assert ran.status == 1
    assert "✗  workers        No worker is alive; jobs wait." in ran.out
    assert "→ Start a worker for all queues: python manage.py run_worker" in ran.out
    assert ran.lines[-1] == "Problems: 1."
    assert run("doctor", "--json").document["healthy"] is False


def test_a_flag_state_that_is_not_as_the_settings_say_is_a_problem(all_well: None, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True)
    assert found("states") == ("ok", "A sample of 8 flag states is as the settings say.", "")
    FlagState.objects.filter(organization=cast.oslo).update(enabled=False)
    state, words, advice = found("states")
    assert state == "problem"
    assert words == (
        "Of a sample of 8 flag states, 1 are not as the settings say. The first one is that of organization "
        f"{cast.oslo.pk} and flag {FlagState.objects.get().flag_id} (wrong)."
    )
    assert "recalculation" in advice


def test_retries_out_of_range_are_a_warning_with_what_is_used_instead(all_well: None, settings: Any) -> None:
    settings.FLAG_SCHEDULE_MAX_RETRIES = "11"
    state, words, advice = found("settings")
    assert (state, words) == ("warning", "FLAG_SCHEDULE_MAX_RETRIES is '11'. Flagsite uses 3 instead.")
    assert "0 to 10" in advice


def test_a_queue_without_a_worker_is_named(all_well: None) -> None:
    names = set(Queue.objects.values_list("name", flat=True)) - {QUEUE}
    worker_registry.beat(queues=[*names], concurrency=2, pid=1)
    waiting()
    state, words, advice = found("workers")
    missing = f"Queues without a worker: {QUEUE} (1 due job)."
    assert (state, words) == ("problem", f"Workers alive: 1, with 2 slots. {missing}")
    assert "manage.py run_worker" in advice


def test_an_empty_queue_of_ones_own_without_a_worker_is_a_warning_until_a_job_of_it_is_due(all_well: None) -> None:
    queue_operations.create("exports", by=OLGA)
    assert found("workers")[:2] == ("warning", "Workers alive: 1, with 2 slots. Queues without a worker: exports.")
    enqueue(kind="cleanup", queue="exports")
    assert found("workers")[0] == "problem"


def test_jobs_in_the_request_need_no_worker(settings: Any) -> None:
    settings.JOBS_INLINE = True
    assert found("workers")[0] == "ok"


def test_a_beat_that_is_not_there_or_does_not_tick_is_found(all_well: None) -> None:
    PeriodicTask.objects.filter(task="jobs.sweep").update(last_run_at=Now() - timedelta(hours=1))
    state, words, _ = found("beat")
    assert (state, words) == ("problem", "Beat is running, but the last tick was 1 h 0 min ago.")
    PeriodicTask.objects.filter(task="jobs.sweep").update(enabled=False)
    assert found("beat")[:2] == ("problem", "The periodic task that rescues jobs is disabled or deleted.")


def test_a_beat_is_late_by_the_interval_that_its_row_has(all_well: None) -> None:
    two_minutes_ago = Now() - timedelta(minutes=2)
    PeriodicTask.objects.filter(task="jobs.sweep").update(last_run_at=two_minutes_ago)
    assert found("beat")[0] == "problem"
    rarely, _ = IntervalSchedule.objects.get_or_create(every=1, period="minutes")
    PeriodicTask.objects.filter(task="jobs.sweep").update(interval=rarely)
    assert found("beat")[0] == "ok"


def test_without_a_beat_it_says_how_to_start_one() -> None:
    state, words, advice = found("beat")
    assert state == "problem"
    assert words.startswith(("Beat is not running", "The periodic task"))
    assert advice


def test_a_pause_is_a_warning_with_who_and_why(all_well: None) -> None:
    waiting()
    queue_operations.pause(QUEUE, by="bob", reason="deploy")
    state, words, advice = found("queues")
    assert (state, words) == ("warning", "Paused: default by bob (deploy), with 1 due jobs.")
    assert "resume_queue default" in advice
    assert run("doctor").status == 0


def test_a_long_line_is_a_warning(all_well: None) -> None:
    changed(waiting(), run_at=datetime.now(UTC) - timedelta(minutes=5))
    state, words, _ = found("queues")
    assert state == "warning"
    assert re.match("In the queue default a job has been due for 5 min [0-9]+ s. Due jobs: 1.", words)


def test_lost_jobs_that_nobody_rescues_are_a_problem(all_well: None) -> None:
    job = claimed()
    assert found("rescue")[0] == "ok"
    Job.objects.filter(pk=job.pk).update(lease_expires_at=LONG_AGO)
    state, words, _ = found("rescue")
    assert (state, words) == ("problem", f"Jobs that lost their worker and are not rescued: 1 ({job.pk}).")


def test_a_canary_that_does_not_come_through_is_a_problem(all_well: None) -> None:
    canary_came_through(timedelta(minutes=10))
    state, words, _ = found("canary")
    assert state == "problem"
    assert re.fullmatch(
        "The last probe job completed 10 min [0-9]+ s ago, but there should be one every minute[.]", words
    )
    Probe.objects.all().delete()
    assert found("canary")[:2] == ("warning", "No probe job has completed yet.")


def test_without_a_database_what_needs_it_is_not_checked(all_well: None) -> None:
    with failing_queries(OperationalError("connection refused\nIs the server running?")):
        ran = run("doctor", "--json")
    assert ran.status == 1
    states = {one["name"]: (one["state"], one["finding"], one["advice"]) for one in ran.document["checks"]}
    assert states["database"] == ("problem", "connection refused", "Start PostgreSQL, or correct DATABASE_URL.")
    assert [name for name in NAMES if states[name][0] == "not checked"] == [
        "migrations", "clock", "listener", "beat", "periodic", "states", "workers", "queues", "kinds", "rescue",
        "canary", "notifications", "artifacts",
    ]  # fmt: skip
    assert states["broker"][0] == "ok"


def test_migrations_that_are_missing_are_named(all_well: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'flags' AND name LIKE '0002%'")
    state, words, advice = found("migrations")
    assert (state, advice) == ("problem", "Run bin/manage migrate.")
    assert words.startswith("Migrations are not applied (1): flags.0002_")


def test_a_database_that_is_ahead_of_the_code_is_a_warning(all_well: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('jobs', '9999_new', now())")
    state, words, _ = found("migrations")
    assert state == "warning"
    assert "jobs.9999_new" in words


def test_a_broker_that_nobody_needs_is_no_problem(all_well: None, settings: Any) -> None:
    settings.REDIS_URL, settings.JOBS_INLINE = "redis://127.0.0.1:1/0", True
    assert found("broker")[0] == "warning"


def test_a_broker_that_does_not_answer_is_a_problem(all_well: None, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    state, words, advice = found("broker")
    assert state == "problem"
    assert "does not answer" in words
    assert "No request is lost" in advice


@pytest.mark.parametrize(
    ("info", "state", "words"),
    [
        ({"redis_version": "6.0.16"}, "problem", "The broker is Redis 6.0.16."),
        ({"redis_version": "7.2.0", "maxmemory": 10**6, "maxmemory_policy": "allkeys-lru"}, "warning", "allkeys-lru"),
        ({"redis_version": "7.2.0", "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, "ok", "Redis 7.2.0"),
    ],
)
def test_a_broker_that_is_old_or_forgets_is_found(
    info: dict[str, Any], state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.Redis, "info", lambda _: info)
    result = infrastructure_checks.check_broker()
    assert result.severity == state
    assert words in result.message


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (10, "warning"), (-3600, "problem")])
def test_a_clock_that_is_off_is_found(seconds: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr(infrastructure_checks, "datetime", Clock)
    assert found("clock")[0] == state


def test_settings_that_do_not_go_together_are_a_warning(settings: Any) -> None:
    settings.JOB_SWEEP_SECONDS, settings.JOB_LEASE_SECONDS = 60.0, 30.0
    state, words, _ = found("settings")
    assert state == "warning"
    assert "every 60 s" in words
    settings.JOB_SWEEP_SECONDS, settings.PRODUCTION, settings.JOBS_INLINE = 5.0, True, True
    assert "JOBS_INLINE" in found("settings")[1]


def test_a_setting_that_django_refuses_is_a_problem(settings: Any) -> None:
    settings.ROOT_URLCONF = "no.such.module"
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "NAME": "a"}] * 2
    assert found("settings")[0] == "problem"


def test_a_crontab_that_never_comes_is_named(all_well: None) -> None:
    never = CrontabSchedule.objects.create(day_of_month="30", month_of_year="2")
    sunday = CrontabSchedule.objects.create(minute="5", day_of_week="7")
    PeriodicTask.objects.create(name="leap", task="jobs.clean_up", crontab=never)
    PeriodicTask.objects.create(name="sundays", task="jobs.clean_up", crontab=sunday)
    PeriodicTask.objects.create(name="off", task="jobs.clean_up", crontab=never, enabled=False)
    state, words, advice = found("periodic")
    assert (state, words) == ("problem", "Periodic tasks that never come: leap (* * 30 2 *); sundays (5 * * * 7).")
    assert "0 is Sunday" in advice


def sent_by(channel: str, state: str, number: int = 1, error: str = "") -> None:
    """Deliveries of the last day with this status."""
    Delivery.objects.bulk_create(
        Delivery(
            channel=channel,
            target="x",
            target_shown="x",
            message_id=f"{channel}{state}{each}",
            state=state,
            error=error,
        )
        for each in range(number)
    )


@pytest.fixture
def sending(settings: Any) -> None:
    """A production in which e-mail leaves."""
    settings.PRODUCTION = True
    settings.EMAIL = replace(settings.EMAIL, sender="flags@example.com")
    settings.SITE_URL = "https://flags.example.com"


def test_messages_that_leave_are_in_order(sending: None) -> None:
    sent_by("email", "SENT", 3)
    assert found("notifications") == ("ok", "Channels with settings: email. Deliveries accepted within a day: 3.", "")


def test_a_missing_address_of_the_site_is_a_warning_where_messages_leave(sending: None, settings: Any) -> None:
    settings.SITE_URL = ""
    state, message, advice = found("notifications")
    assert (state, "SITE_URL" in message, "https://" in advice) == ("warning", True, True)
    settings.EMAIL = replace(settings.EMAIL, sender="")
    assert found("notifications")[0] == "ok", "nothing leaves"


def test_a_channel_without_settings_for_which_somebody_waits_is_a_warning(sending: None) -> None:
    wish = Wish(name="Night", channel="sms", target="+4712345678", events=["job.failed"])
    subscriptions.create(Caller("user:olga", Role.OPERATOR), wish)
    state, message, advice = found("notifications")
    assert (state, message) == ("warning", "Messages stay in the outbox: 1 subscription by sms.")
    assert "Set APPRISE_URLS" in advice


def test_an_outbox_that_fills_is_a_warning_in_production_only(sending: None, settings: Any) -> None:
    sent_by("webhook", "OUTBOX", 7)
    state, message, advice = found("notifications")
    assert (state, message) == ("warning", "Messages stay in the outbox: 7 deliveries by webhook within a day.")
    assert "Set SEND_WEBHOOKS" in advice
    settings.PRODUCTION = False
    assert found("notifications")[0] == "ok"


@pytest.mark.parametrize("state", ["FAILED", "PENDING"])
def test_deliveries_that_fail_are_a_warning_with_the_latest_error(sending: None, state: str) -> None:
    sent_by("email", "SENT", 8)
    sent_by("email", state, 1, "The mail server answered 550 no.")
    severity, message, advice = found("notifications")
    assert (severity, "550 no" in message, state in advice) == ("warning", True, True)
    sent_by("webhook", "SENT", 2)
    Delivery.objects.filter(channel="email", state="SENT").update(sent_at=Now())
    sent_by("sms", "CANCELLED")
    assert "by email" in found("notifications")[1]


def test_a_delivery_that_failed_among_many_is_no_warning(sending: None) -> None:
    sent_by("email", "SENT", 20)
    sent_by("email", "FAILED", 1, "550")
    assert found("notifications")[0] == "ok"


def test_files_on_the_disk_of_one_of_several_machines_are_a_problem(settings: Any, monkeypatch: Any) -> None:
    Worker.objects.create(token="a", host="alpha", pid=7, queues=["default"])
    assert found("artifacts")[0] == "ok"
    Worker.objects.create(token="b", host="beta", pid=7, queues=["default"])
    state, message, advice = found("artifacts")
    assert (state, "alpha, beta" in message, "ARTIFACTS_URL" in advice) == ("problem", True, True)
    monkeypatch.setattr(output_checks, "_file_system_of", lambda folder: "nfs4")
    assert found("artifacts")[0] == "ok", "the folder is shared"
    monkeypatch.undo()
    settings.STORAGES = settings.STORAGES | {"artifacts": {"OPTIONS": {"bucket": "files"}}}
    assert found("artifacts") == ("ok", "The files of artifacts are in the bucket files.", "")
