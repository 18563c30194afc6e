"""Each event names the page of its object, with the whole address, and the page is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from flags.insights.stale_events import tell_stale
from flags.models import Flag, FlagSchedule
from flags.schedules.record_result import record_failure
from flags.states.set_flag import set_flag
from jobs.engine import lifecycle, worker_registry
from jobs.engine.worker_model import Worker
from jobs.notifications import events, telling
from jobs.notifications.models import Delivery
from jobs.notifications.subscriptions import Wish, create
from jobs.operations import queue_operations
from jobs.tests.batches import batch_steps
from jobs.tests.engine_steps import claimed, lease_of
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
SITE = "https://flags.example.com"


def flag() -> Flag:
    return service.create(key="new", values={}, by="user:olga")


def fail_a_job(cast: Cast) -> None:
    job = claimed()
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="no", permanent=True)


def end_a_batch(cast: Cast) -> None:
    batch_steps.batch_of(1)
    batch_steps.complete(batch_steps.claim())


def pause_a_queue(cast: Cast) -> None:
    queue_operations.pause("default", by="user:olga")


def lose_a_worker(cast: Cast) -> None:
    Worker.objects.create(token="a", host="alpha", pid=7, queues=["default"])
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=worker_registry.ALIVE_SECONDS + 1))
    worker_registry.notice_gone()


def set_a_flag(cast: Cast) -> None:
    set_flag(organization_id=cast.north.pk, flag_key="new", enabled=True, requested_by="user:olga")


def change_a_definition(cast: Cast) -> None:
    service.update(key=flag().key, values={"killed": True}, by="user:olga")


def fail_a_scheduled_change(cast: Cast) -> None:
    schedule = FlagSchedule.objects.create(
        flag=flag(), flag_key="new", organization=cast.oslo, wanted={"enabled": True}, scheduled_at=timezone.now(),
        max_retries=0, created_by="user:olga",
    )  # fmt: skip
    record_failure(schedule, RuntimeError("lost"))


def let_a_flag_get_stale(cast: Cast) -> None:
    Flag.objects.filter(pk=flag().pk).update(expires_on=timezone.localdate() - timedelta(days=2))
    tell_stale()


HAPPENINGS: list[tuple[str, Callable[[Cast], None], str]] = [
    ("job.failed", fail_a_job, "/admin/jobs/job/"),
    ("batch.ended", end_a_batch, "/admin/jobs/batch/"),
    ("queue.paused", pause_a_queue, "/admin/jobs/queue/default/"),
    ("worker.gone", lose_a_worker, "/admin/jobs/worker/"),
    ("flag.changed", set_a_flag, "/admin/flags/flag/"),
    ("flag.changed", change_a_definition, "/admin/flags/flag/"),
    ("schedule.failed", fail_a_scheduled_change, "/admin/flags/flagschedule/"),
    ("flag.stale", let_a_flag_get_stale, "/admin/flags/flag/"),
]


@pytest.mark.parametrize(("event", "happen", "page"), HAPPENINGS)
def test_an_event_names_a_page_that_is_there(
    cast: Cast, settings: Any, event: str, happen: Callable[[Cast], None], page: str
) -> None:
    settings.SITE_URL = SITE
    events.forget()
    wish = Wish(name="Ops", channel="email", target="ann@example.com", events=[event], digest_seconds=0)
    create(Caller("user:olga", Role.OPERATOR), wish)
    happen(cast)
    telling.tell_events()
    address = Delivery.objects.get().events["first"][0]["url"]
    assert address.startswith(f"{SITE}{page}")
    assert shown(signed_in("operator").get(address.removeprefix(SITE)))


def test_these_are_all_events() -> None:
    assert {event for event, _, _ in HAPPENINGS} == set(events.all_events())
