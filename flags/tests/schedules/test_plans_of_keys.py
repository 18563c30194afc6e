"""Who revokes an access key sees what it has planned, by every door, and ends it."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from conftest import Cast
from flags.schedules import schedule_operations
from flags.schedules.models import FlagSchedule
from flags.tests.schedules.plans import OPS, as_of, planned
from orgs.access import access_keys, key_plans
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
TO_COME = timedelta(days=-1)


@pytest.fixture
def caller(cast: Cast) -> Caller:
    key, _ = access_keys.create(name="nightly", role=Role.EDITOR, organization=cast.north)
    return Caller(f"key:{key.prefix} nightly", Role.EDITOR, cast.north.pk)


@pytest.fixture
def prefix(caller: Caller) -> str:
    return caller.name.removeprefix("key:").partition(" ")[0]


@pytest.fixture
def plans(cast: Cast, caller: Caller) -> list[FlagSchedule]:
    """What the key has planned: one change that will come, one of a series, and one that waits for its retry."""
    made = [planned(organization, by=caller, ago=TO_COME) for organization in (cast.north, cast.oslo, cast.bergen)]
    FlagSchedule.objects.filter(pk=made[1].pk).update(cron="0 9 * * *", time_zone="UTC")
    FlagSchedule.objects.filter(pk=made[2].pk).update(status="failed", next_retry_at=made[2].scheduled_at)
    return [as_of(one) for one in made]


@pytest.fixture
def others(cast: Cast, caller: Caller) -> list[FlagSchedule]:
    """What somebody else has planned, and what is over."""
    key, _ = access_keys.create(name="other", role=Role.EDITOR)
    over = planned(cast.oslo, by=caller, ago=TO_COME)
    schedule_operations.cancel(schedule_id=over.pk, by="user:olga")
    theirs = planned(cast.oslo, by=Caller(f"key:{key.prefix} other", Role.EDITOR), ago=TO_COME)
    return [as_of(one) for one in (theirs, planned(cast.oslo, by=OPS, ago=TO_COME), over)]


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_revoking_a_key_ends_what_it_had_planned_and_nothing_else(
    cast: Cast, prefix: str, plans: list[FlagSchedule], others: list[FlagSchedule]
) -> None:
    ended = access_keys.revoke(prefix=prefix).ended
    assert (ended.count, {change.id for change in ended.changes}) == (3, {plan.pk for plan in plans})
    for plan in plans:
        now = as_of(plan)
        assert (now.status, now.next_retry_at, now.last_error) == ("cancelled", None, "The access key was revoked.")
        entry = AuditEntry.objects.get(action="flag-schedule.cancel", subject=plan.subject)
        assert (entry.reason, entry.details["before"]) == ("The access key was revoked.", plan.status)
    assert [as_of(one).status for one in others] == [one.status for one in others]
    assert AuditEntry.objects.get(action="key.revoke").details["endedChanges"] == 3
    assert access_keys.revoke(prefix=prefix).ended.count == 0


def test_http_shows_what_a_key_has_planned_and_what_ended(
    cast: Cast, admin_key: str, prefix: str, plans: list[FlagSchedule], others: list[FlagSchedule]
) -> None:
    api, path = Api(admin_key), f"/v1/access-keys/{prefix}"
    known = api.get(path).json()["plannedChanges"]
    ended = api.post(f"{path}/revoke").json()["endedChanges"]
    assert known == ended
    assert ended["count"] == 3
    first = next(change for change in ended["changes"] if change["id"] == plans[1].pk)
    assert (first["description"], first["organizationId"]) == (
        "checkout: on, again and again (0 9 * * * UTC)", cast.oslo.pk,
    )  # fmt: skip
    assert api.get(path).json()["plannedChanges"] == {"count": 0, "changes": []}


def test_the_page_shows_what_a_key_has_planned_before_it_is_revoked(
    cast: Cast, prefix: str, plans: list[FlagSchedule], others: list[FlagSchedule]
) -> None:
    client, page = signed_in("admin"), f"/admin/orgs/accesskey/{prefix}/revoke/"
    asked = shown(client.get(page))
    assert "has planned 3 scheduled changes" in asked
    for plan in plans:
        assert f"{plan.pk}: checkout: on" in asked
    assert "cancelled 3 scheduled changes" in shown(client.post(page, {"reason": "It leaked."}, follow=True))


def test_the_command_shows_what_a_key_has_planned_and_ends_it(
    cast: Cast, prefix: str, plans: list[FlagSchedule], others: list[FlagSchedule]
) -> None:
    dry = run("revoke_key", prefix, "--dry-run")
    assert (dry["state"], dry["plannedChanges"]["count"]) == ("valid", 3)
    assert {as_of(plan).status for plan in plans} == {"pending", "failed"}
    wet = run("revoke_key", prefix)
    assert (wet["state"], wet["endedChanges"]) == ("revoked", dry["plannedChanges"])
    out = StringIO()
    call_command("revoke_key", prefix, "--dry-run", stdout=out)
    assert "0 scheduled changes" in out.getvalue()


def test_a_key_takes_over_the_plans_of_the_key_that_it_replaces(
    cast: Cast, prefix: str, plans: list[FlagSchedule]
) -> None:
    successor, _ = access_keys.rotate(prefix=prefix)
    assert (key_plans.planned_by(prefix).count, key_plans.planned_by(successor.prefix).count) == (3, 0)
    AccessKey.objects.filter(prefix=prefix).update(expiry_date=AccessKey.objects.get(prefix=prefix).created)
    assert key_plans.planned_by(successor.prefix).count == 3
    access_keys.revoke(prefix=successor.prefix)
    assert {as_of(plan).status for plan in plans} == {"cancelled"}
