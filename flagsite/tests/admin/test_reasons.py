"""Each form of the admin site that writes takes a reason, which the audit log keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from conftest import Cast
from flags.definitions import service
from jobs.notifications import subscriptions
from jobs.notifications.subscriptions import Wish
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.people import SUPERUSER, person, shown, signed_in

pytestmark = pytest.mark.django_db
WHY = "Café – closed 🎄"
PASSWORD = {"password1": "long enough 1", "password2": "long enough 1"}
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("/admin/orgs/accesskey/add/", {"name": "mine", "role": "reader"}),
    ("/admin/orgs/accesskey/{key}/revoke/", {}),
    ("/admin/auth/user/add/", {"username": "eve", "usable_password": "true"} | PASSWORD),
    ("/admin/auth/user/{user}/change/", {"username": "somebody", "is_active": "on", "first_name": "Some",
                                         "scope-TOTAL_FORMS": 0, "scope-INITIAL_FORMS": 0}),
    ("/admin/auth/user/{user}/password/", {"usable_password": "true"} | PASSWORD),
    ("/admin/password_change/", {"old_password": "old enough 1", "new_password1": "long enough 1",
                                 "new_password2": "long enough 1"}),
    ("/admin/django_celery_beat/intervalschedule/add/", {"every": 7, "period": "days"}),
    ("/admin/django_celery_beat/intervalschedule/{interval}/change/", {"every": 8, "period": "days"}),
    ("/admin/django_celery_beat/periodictask/{task}/delete/", {"post": "yes"}),
    ("/admin/jobs/queue/default/change/", {"max_retries": 1, "backoff_type": "exponential", "backoff_base": 2,
                                           "backoff_jitter": 0, "rate_seconds": 60}),
    ("/admin/jobs/subscription/add/", {"name": "mine", "channel": "email", "target": "a@example.com",
                                       "events": ["job.failed"]}),
    ("/admin/jobs/subscription/{subscription}/change/", {"name": "mine", "events": ["job.failed"],
                                                         "digest_seconds": 0, "is_active": "on"}),
    ("/admin/jobs/subscription/{subscription}/test/", {}),
    ("/admin/jobs/subscription/{hook}/rotate/", {"overlap": "24"}),
    ("/admin/jobs/subscription/{subscription}/delete/", {}),
    ("/admin/jobs/delivery/{delivery}/replay/", {}),
    ("/admin/orgs/organization/add/", {"name": "New", "key": "new"}),
    ("/admin/orgs/organization/{rome}/rename/do/", {"name": "New"}),
    ("/admin/orgs/organization/{rome}/create/do/", {"name": "New", "key": "new"}),
    ("/admin/orgs/organization/{rome}/delete/do/", {"key": "rome"}),
    ("/admin/flags/flag/add/", {"key": "made", "kind": "release", "default": "", "rollout_percentage": 100,
                                "rollout_unit": "targetingKey", "hash_version": 1, "environments": "{}"}),
]  # fmt: skip


@pytest.fixture
def ids(cast: Cast) -> dict[str, Any]:
    interval = IntervalSchedule.objects.create(every=5, period="days")
    subscription, delivery = subscription_and_delivery()
    hook, _ = subscriptions.create(
        Caller("user:ada", Role.OPERATOR),
        Wish(name="CRM", channel="webhook", target="https://crm.example.com/", events=["job.failed"]),
    )
    task = PeriodicTask.objects.create(name="mine", task="jobs.sweep", interval=interval)
    return {
        "key": access_keys.create(name="theirs")[0].prefix,
        "user": person("viewer", name="somebody").pk,
        "interval": interval.pk,
        "subscription": subscription.pk,
        "hook": hook.pk,
        "delivery": delivery.pk,
        "task": task.pk,
        "rome": cast.rome.pk,
    }


@pytest.mark.parametrize(("path", "values"), FORMS)
def test_a_form_has_a_field_for_the_reason_and_keeps_it(ids: dict[str, Any], path: str, values: dict[str, Any]) -> None:
    client = signed_in(SUPERUSER)
    pat = User.objects.get(username="pat")
    pat.set_password("old enough 1")
    pat.save()
    client.force_login(pat)
    address, before = path.format(**ids), AuditEntry.objects.count()
    fields = re.findall(r'<(?:input|textarea)[^>]*name="reason"[^>]*>', shown(client.get(address)))
    assert len(fields) == 1
    answer = client.post(address, values | {"reason": WHY})
    new = AuditEntry.objects.order_by("id")[before:]
    assert [entry.reason for entry in new] == [WHY], answer.content.decode()[-3000:]


LAST = {
    "/admin/orgs/accesskey/{key}/revoke/": {},
    "/admin/orgs/organization/{rome}/delete/do/": {"key": "rome"},
    "/admin/flags/flag/{gone}/purge/do/": {"key": "gone"},
}


@pytest.mark.parametrize(("path", "values"), LAST.items())
def test_what_cannot_be_undone_needs_a_reason_and_has_a_red_button(
    ids: dict[str, Any], path: str, values: dict[str, Any]
) -> None:
    service.create(key="gone", by="user:ada", values={})
    gone = service.archive(key="gone", by="user:ada")
    client, address = signed_in("admin"), path.format(**ids, gone=gone.pk)
    page = shown(client.get(address))
    based_on = re.findall(r'name="based_on" value="([^"]*)"', page)
    assert re.search(r'<button type="submit" class="fs-button fs-danger">', page)
    assert re.search(r'<label for="id_reason">Reason<span class="fs-required"', page)
    before = AuditEntry.objects.count()
    values = values | ({"based_on": based_on[0]} if based_on else {})
    assert "This field is required." in shown(client.post(address, values | {"reason": " "}))
    assert AuditEntry.objects.count() == before
    assert client.post(address, values | {"reason": WHY}).status_code == 302
    assert AuditEntry.objects.latest("id").reason == WHY


def test_what_can_be_undone_is_asked_for_alike_and_has_no_red_button(ids: dict[str, Any]) -> None:
    client = signed_in("admin")
    for path in ("/admin/orgs/organization/{rome}/rename/do/", "/admin/flags/flag/set/{rome}/",
                 "/admin/flags/flagschedule/add/", "/admin/jobs/queue/default/pause/",
                 "/admin/orgs/accesskey/{key}/rotate/"):  # fmt: skip
        page = shown(client.get(path.format(**ids)))
        assert re.search(r'<label for="id_reason">Reason</label>', page), path
        assert "Optional." in page, path
        assert not re.search(r'<button type="submit" class="fs-button fs-danger', page), path


def test_after_a_switch_a_person_reads_what_was_done_and_the_reason(cast: Cast) -> None:
    client = signed_in("operator")
    for organization, words in (
        (cast.oslo, "checkout is on now in Oslo."),
        (cast.north, "switches checkout on in North"),
    ):
        address = f"/admin/flags/flag/set/{organization.pk}/"
        values = {"flag": "checkout", "enabled": "true", "reason": "launch day"}
        seen = re.findall(r'name="shown" value="([^"]*)"', shown(client.post(address, values)))
        page = shown(client.post(address, values | {"shown": seen[0]}, follow=True))
        assert words in page
        assert "Reason: launch day" in page


def test_deleting_several_rows_takes_a_reason_too(ids: dict[str, Any]) -> None:
    client = signed_in(SUPERUSER)
    chosen = {"action": "delete_selected", "_selected_action": ids["task"]}
    page = shown(client.post("/admin/django_celery_beat/periodictask/", chosen))
    assert 'name="reason"' in page
    client.post("/admin/django_celery_beat/periodictask/", chosen | {"post": "yes", "reason": WHY})
    assert AuditEntry.objects.latest("id").reason == WHY


def test_a_reason_that_is_too_long_is_refused_and_nothing_is_done(cast: Cast) -> None:
    client, before = signed_in("admin"), AuditEntry.objects.count()
    page = shown(client.post("/admin/orgs/accesskey/add/", {"name": "mine", "role": "reader", "reason": "x" * 1001}))
    assert "at most 1000 characters" in page
    assert AuditEntry.objects.count() == before
