"""Which pages each person may open, and which changes each may make; what they may not open is not offered either."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from conftest import Cast
from flags.segments.models import Segment
from flags.tests.schedules.plans import planned
from jobs.batches.creation import create_batch
from jobs.engine.models import Queue
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.access import access_keys
from orgs.access.models import AccessKey, StaffScope
from orgs.audit.models import AuditEntry
from orgs.tests.people import SUPERUSER, person, shown, signed_in

pytestmark = pytest.mark.django_db

PEOPLE = ["viewer", "operator", "admin", SUPERUSER, "bound admin"]
OPEN_TO: dict[str, set[str]] = {
    "/admin/": set(PEOPLE),
    "/admin/overview/": set(PEOPLE),
    "/admin/overview/today/": set(PEOPLE),
    "/admin/my-notifications/": set(PEOPLE),
    "/admin/orgs/auditentry/": set(PEOPLE),
    "/admin/orgs/auditentry/{entry}/change/": set(PEOPLE),
    "/admin/jobs/batch/": set(PEOPLE),
    "/admin/jobs/batch/{batch}/change/": set(PEOPLE),
    "/admin/jobs/batch/{batch}/live/": set(PEOPLE),
    "/admin/jobs/batch/{batch}/members/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/batch/{batch}/retry/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/batch/{batch}/cancel/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/batch/add/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/add/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/{subscription}/change/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/{subscription}/test/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/{subscription}/delete/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/subscription/{subscription}/rotate/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/delivery/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/delivery/{delivery}/change/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/delivery/{delivery}/replay/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/queue/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/jobs/queue/live/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/jobs/queue/default/change/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/jobs/queue/add/": {"operator", "admin", SUPERUSER},
    "/admin/jobs/queue/default/delete/": {"operator", "admin", SUPERUSER},
    "/admin/jobs/job/enqueue/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/jobs/queue/default/pause/": {"operator", "admin", SUPERUSER},
    "/admin/jobs/queue/default/resume/": {"operator", "admin", SUPERUSER},
    "/admin/jobs/worker/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/jobs/worker/live/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/django_celery_beat/periodictask/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/django_celery_beat/periodictask/{task}/change/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/django_celery_beat/periodictask/add/": {"admin", SUPERUSER},
    "/admin/flags/segment/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/flags/segment/add/": {"operator", "admin", SUPERUSER},
    "/admin/flags/segment/{segment}/change/": {"viewer", "operator", "admin", SUPERUSER},
    "/admin/flags/segment/{segment}/remove/": {"operator", "admin", SUPERUSER},
    "/admin/flags/flagschedule/": set(PEOPLE),
    "/admin/flags/flagschedule/agenda/": set(PEOPLE),
    "/admin/flags/flagschedule/add/": {"operator", "admin", SUPERUSER, "bound admin"},
    "/admin/orgs/accesskey/": {"admin", SUPERUSER, "bound admin"},
    "/admin/orgs/accesskey/add/": {"admin", SUPERUSER, "bound admin"},
    "/admin/orgs/accesskey/{key}/revoke/": {"admin", SUPERUSER, "bound admin"},
    "/admin/auth/user/": {"admin", SUPERUSER},
    "/admin/auth/user/add/": {"admin", SUPERUSER},
    "/admin/auth/user/{user}/change/": {"admin", SUPERUSER},
    "/admin/auth/user/{user}/password/": {"admin", SUPERUSER},
    "/admin/auth/group/": {"admin", SUPERUSER},
}
NOBODY = [
    "/admin/flags/segment/{segment}/delete/",
    "/admin/flags/flagschedule/{schedule}/delete/",
    "/admin/jobs/batch/{batch}/delete/",
    "/admin/jobs/delivery/add/",
    "/admin/jobs/delivery/{delivery}/delete/",
    "/admin/jobs/worker/add/",
    "/admin/orgs/auditentry/add/",
    "/admin/orgs/auditentry/{entry}/delete/",
    "/admin/auth/user/{user}/delete/",
    "/admin/auth/group/add/",
    "/admin/auth/group/{group}/delete/",
    "/admin/orgs/accesskey/{key_id}/delete/",
]


@pytest.fixture
def ids(cast: Cast) -> dict[str, Any]:
    """What the addresses name; all of it is north's where it is of an organization."""
    made, _ = access_keys.create(name="theirs", organization=cast.north)
    somebody = person("viewer", name="somebody")
    subscription, delivery = subscription_and_delivery(cast.oslo.pk)
    return {
        "key": made.prefix,
        "batch": create_batch("theirs", organization_id=cast.oslo.pk).batch.pk,
        "schedule": planned(cast.oslo).pk,
        "segment": Segment.objects.create(key="beta").pk,
        "subscription": subscription.pk,
        "delivery": delivery.pk,
        "key_id": made.pk,
        "entry": AuditEntry.objects.filter(organization=cast.north).latest("id").pk,
        "task": _task().pk,
        "user": somebody.pk,
        "group": somebody.groups.get().pk,
    }


def _task() -> PeriodicTask:
    """One of the schedule; tests with real transactions have emptied the table of what migrations made."""
    interval, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    task, _ = PeriodicTask.objects.get_or_create(name="sweep", defaults={"task": "jobs.sweep", "interval": interval})
    return task


def client_of(who: str, cast: Cast) -> Client:
    return signed_in(who.removeprefix("bound "), bound_to=cast.north if who.startswith("bound") else None)


@pytest.mark.parametrize("who", PEOPLE)
def test_each_person_opens_their_pages_and_no_others(cast: Cast, ids: dict[str, Any], who: str) -> None:
    client = client_of(who, cast)
    answers = {path: client.get(path.format(**ids)).status_code for path in OPEN_TO}
    assert answers == {path: 200 if who in people else 403 for path, people in OPEN_TO.items()}
    assert {path: client.get(path.format(**ids)).status_code for path in NOBODY} == dict.fromkeys(NOBODY, 403)


@pytest.mark.parametrize("who", PEOPLE)
def test_the_side_bar_offers_what_may_be_opened(cast: Cast, ids: dict[str, Any], who: str) -> None:
    client = client_of(who, cast)
    page = shown(client.get("/admin/"))
    bar = page[page.index('id="nav-sidebar-apps"') : page.index('id="main"')]
    paths = [path for path in OPEN_TO if path.startswith("/admin/") and not path.startswith("/admin/overview/")]
    lists = [path for path in paths if path.count("/") == 4 and "add" not in path]
    offered = {path for path in lists if f'href="{path}"' in bar}
    assert offered == {path for path in lists if who in OPEN_TO[path]}


WRITES: dict[str, dict[str, Any]] = {
    "/admin/jobs/queue/default/pause/": {"reason": "x"},
    "/admin/jobs/queue/default/resume/": {"reason": "x"},
    "/admin/jobs/queue/default/change/": {"concurrency": "7", "max_retries": "1", "backoff_base": "2", "reason": "x"},
    "/admin/orgs/auditentry/{entry}/change/": {"actor": "user:nobody"},
    "/admin/orgs/accesskey/add/": {"name": "mine", "role": "admin"},
    "/admin/orgs/accesskey/{key}/revoke/": {},
    "/admin/django_celery_beat/periodictask/{task}/change/": {"name": "sweep", "enabled": ""},
    "/admin/auth/user/add/": {"username": "eve", "password1": "long enough 1", "password2": "long enough 1"},
    "/admin/auth/user/{user}/change/": {"username": "eve", "is_superuser": "on"},
    "/admin/auth/user/{user}/password/": {"password1": "long enough 1", "password2": "long enough 1"},
}


@pytest.mark.parametrize(("who", "all_but"), [("viewer", ()), ("operator", ("/admin/jobs/queue",)),
                                              ("bound admin", ("/admin/orgs/accesskey",))])  # fmt: skip
def test_what_a_person_may_not_do_changes_nothing(
    cast: Cast, ids: dict[str, Any], who: str, all_but: tuple[str, ...]
) -> None:
    client = client_of(who, cast)
    before = state()
    for path, values in WRITES.items():
        if not path.startswith(all_but or ("-",)):
            assert client.post(path.format(**ids), values).status_code == 403, path
    assert state() == before


def test_who_is_not_signed_in_is_sent_to_the_login(client: Client, cast: Cast, ids: dict[str, Any]) -> None:
    for path in OPEN_TO:
        answer = client.get(path.format(**ids))
        if "/live/" in path or "overview" in path:
            assert answer.headers["HX-Refresh"] == "true"
            assert answer.content == b""
        else:
            assert answer.status_code == 302, path
            assert answer["Location"].startswith("/admin/login/")


def state() -> list[Any]:
    """All that one of the writes would change."""
    return [
        list(Queue.objects.order_by("pk").values()),
        list(AccessKey.objects.order_by("pk").values()),
        list(PeriodicTask.objects.order_by("pk").values("name", "enabled")),
        list(User.objects.order_by("pk").values("username", "password", "is_superuser")),
        list(StaffScope.objects.order_by("pk").values()),
        AuditEntry.objects.count(),
    ]
