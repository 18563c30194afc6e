"""A rollout in steps: one request schedules them, and when one fails or is cancelled the later ones do not come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db.models.functions import Now

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.tests.schedules.plans import YEAR
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
PATH = "/v1/schedules"
AT = f"{YEAR}-01-31T09:00:00Z"
STEPS = [
    {"apply": {"enabled": True, "rolloutPercentage": 1}},
    {"apply": {"rolloutPercentage": 10}, "waitMinutes": 1440},
    {"apply": {"rolloutPercentage": 100}, "waitMinutes": 4320},
]


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    Flag.objects.create(key="checkout")
    return Api(admin_key)


def scheduled(api: Api, steps: Any = STEPS, **more: Any) -> list[dict[str, Any]]:
    response = api.post(PATH, {"featureFlagName": "checkout", "scheduledAt": AT, "steps": steps, **more})
    assert response.status_code == 201, response.content
    schedules: list[dict[str, Any]] = response.json()["schedules"]
    return schedules


def let_come(schedule_id: int) -> None:
    """Let a step and those before it be due."""
    FlagSchedule.objects.filter(pk__lte=schedule_id).update(scheduled_at=Now() - timedelta(days=1))
    for number, schedule in enumerate(FlagSchedule.objects.filter(pk__lte=schedule_id).order_by("pk")):
        FlagSchedule.objects.filter(pk=schedule.pk).update(scheduled_at=Now() - timedelta(minutes=30 - number))
    apply_due()


def statuses() -> list[str]:
    return list(FlagSchedule.objects.order_by("pk").values_list("status", flat=True))


def test_one_request_schedules_all_steps_with_their_waits(api: Api) -> None:
    first, second, third = scheduled(api)
    assert [each["scheduledAt"][:16] for each in (first, second, third)] == [
        f"{YEAR}-01-31T09:00", f"{YEAR}-02-01T09:00", f"{YEAR}-02-04T09:00",
    ]  # fmt: skip
    assert {each["firstStepId"] for each in (first, second, third)} == {first["id"]}
    assert [each["apply"] for each in (first, second, third)] == [each["apply"] for each in STEPS]
    assert AuditEntry.objects.filter(action="flag-schedule.create").count() == 3
    plan = api.post(f"{PATH}/{second['id']}/plan", {}).json()
    assert {each["field"]: each["after"] for each in plan["definition"]["changes"]} == {"rolloutPercentage": 10.0}


def test_the_steps_come_one_after_the_other(api: Api) -> None:
    first, second, third = scheduled(api)
    for step, percentage in ((first, 1), (second, 10), (third, 100)):
        let_come(step["id"])
        assert service.flag_called("checkout").rollout_percentage == percentage
    assert statuses() == ["applied"] * 3


def test_a_cancelled_step_cancels_the_later_ones_and_no_other_change(api: Api) -> None:
    first, second, third = scheduled(api)
    other = scheduled(api)
    let_come(first["id"])
    assert api.post(f"{PATH}/{second['id']}/cancel", {"reason": "errors"}).status_code == 200
    assert statuses() == ["applied", "cancelled", "cancelled", "pending", "pending", "pending"]
    assert api.get(f"{PATH}/{third['id']}").json()["lastError"] == f"The step {second['id']} before was cancelled."
    assert other[0]["firstStepId"] != first["firstStepId"]


def test_a_step_that_fails_for_good_cancels_the_later_ones(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = scheduled(api, maxRetries=0)
    service.update(key="checkout", values={"rollout_percentage": None}, by="olga")
    FlagSchedule.objects.filter(pk=second["id"]).update(wanted={"rolloutPercentage": 1000})
    let_come(second["id"])
    assert statuses() == ["applied", "failed", "cancelled"]
    assert api.get(f"{PATH}/{third['id']}").json()["lastError"] == f"The step {second['id']} before has failed."
    assert first["status"] == "pending"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"enabled": False}, "enabled"),
        ({"rollout_percentage": 0}, "rolloutPercentage"),
        ({"killed": True}, "killed"),
    ],
)
def test_a_change_by_hand_between_two_steps_stops_the_rollout(api: Api, values: dict[str, Any], named: str) -> None:
    first, second, _ = scheduled(api)
    let_come(first["id"])
    service.update(key="checkout", values=values, by="olga")
    refused = api.post(f"{PATH}/{second['id']}/plan", {}).json()["refused"]
    let_come(second["id"])
    assert statuses() == ["applied", "failed", "cancelled"]
    last = api.get(f"{PATH}/{second['id']}").json()["lastError"]
    assert last == refused
    assert last.startswith(f"Somebody has changed what the steps before have set: {named}.")
    assert service.differing(service.flag_called("checkout"), values) == []


def test_a_change_of_other_fields_between_two_steps_does_not_stop_the_rollout(api: Api) -> None:
    rules = [
        {"clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"rollout": {"on": 5, "off": 95}}}
    ]
    steps = [{"apply": {"enabled": True, "rules": rules}}, {"apply": {"rolloutPercentage": 100}, "waitMinutes": 60}]
    first, second = scheduled(api, steps)
    let_come(first["id"])
    service.update(key="checkout", values={"description": "text"}, by="olga")
    let_come(second["id"])
    assert statuses() == ["applied", "applied"]


def test_steps_may_set_the_flag_of_an_organization(api: Api, cast: Cast) -> None:
    steps = [{"apply": {"enabled": True}}, {"apply": {"enabled": False, "below": "lock"}, "waitMinutes": 1}]
    assert [each["organizationId"] for each in scheduled(api, steps, organizationId=cast.oslo.pk)] == [cast.oslo.pk] * 2


@pytest.mark.parametrize(
    "steps",
    [
        [], STEPS[:1], [STEPS[1], STEPS[2]], [STEPS[0], STEPS[0]], [STEPS[0], *[STEPS[1]] * 20],
        [STEPS[0], {"apply": {"rolloutPercentage": 101}, "waitMinutes": 1}], [STEPS[0], {"waitMinutes": 1}],
        [STEPS[0], {"apply": {"rolloutPercentage": 1}, "waitMinutes": 0}], "1 %", [None],
        [STEPS[0], {"apply": {"rolloutPercentage": 1}, "waitMinutes": 1, "more": 1}],
    ],
)  # fmt: skip
def test_nonsense_schedules_nothing(api: Api, steps: Any) -> None:
    response = api.post(PATH, {"featureFlagName": "checkout", "scheduledAt": AT, "steps": steps})
    assert (response.status_code, FlagSchedule.objects.count()) == (400, 0), response.content


def test_steps_go_with_no_other_form(api: Api) -> None:
    body = {"featureFlagName": "checkout", "scheduledAt": AT, "steps": STEPS, "apply": {"enabled": True}}
    assert kind_of(api.post(PATH, body)) == "invalid-input"


def test_the_form_takes_a_step_in_each_line(api: Api) -> None:
    client = signed_in("operator")
    fields = {"flag": "checkout", "enabled": "true", "at": f"{YEAR}-01-31T09:00", "time_zone": "UTC", "reason": "x"}
    add = "/admin/flags/flagschedule/add/"
    answer = client.post(add, fields | {"steps": "1 %\n\n12.5% after 1d\n100 after 2h"})
    assert answer.status_code == 302, shown(answer)
    found = list(FlagSchedule.objects.order_by("pk"))
    assert [each.wanted["rolloutPercentage"] for each in found] == [1, 12.5, 100]
    assert [each.scheduled_at for each in found] == [
        datetime(YEAR, 1, 31, 9, tzinfo=UTC), datetime(YEAR, 2, 1, 9, tzinfo=UTC), datetime(YEAR, 2, 1, 11, tzinfo=UTC),
    ]  # fmt: skip
    assert "First step of the rollout" in shown(client.get(f"/admin/flags/flagschedule/{found[1].pk}/change/"))
    off = client.post(add, fields | {"enabled": "false", "steps": "1 %\n100 % after 1d"})
    assert "Steps turn the flag on." in shown(off)
    for wrong in ("ten", "1 %\n10 % after soon", "1 %", "1 %\n10 %"):
        assert client.post(add, fields | {"steps": wrong}).status_code == 200
    assert FlagSchedule.objects.count() == 3


def test_a_wait_is_not_longer_than_a_year(api: Api) -> None:
    shares = [str(share) for share in range(1, 21)]
    refused = run("roll_out", "checkout", *shares, "--at", "1h", "--wait", "99999w", "--reason", "x")
    assert refused.status != 0
    assert "A wait is longer than" in refused.error
    assert not FlagSchedule.objects.exists()


def test_the_command_schedules_a_rollout(api: Api) -> None:
    answer = run("roll_out", "checkout", "1", "10", "100", "--at", "1h", "--wait", "1d", "--reason", "x")
    assert "checkout will be on for 10 % at" in str(answer)
    times = list(FlagSchedule.objects.order_by("pk").values_list("scheduled_at", flat=True))
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(days=1)] * 2
