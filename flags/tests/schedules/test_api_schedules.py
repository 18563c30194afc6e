"""Scheduled changes over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from flags.tests.schedules.plans import YEAR, let_come
from orgs.access.models import AccessKey, Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, ids, kind_of, wrong_fields
from orgs.tree.models import Organization

PATH = "/v1/schedules"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def flag(db: None) -> Flag:
    return Flag.objects.create(key="new-checkout")


def key_of(role: Role, organization: Organization | None = None) -> Api:
    return Api(AccessKey.objects.create_key(name="theirs", role=role, organization=organization)[1])


def body(where: Organization | None, **more: Any) -> dict[str, Any]:
    """A change for tomorrow; values of None are left out."""
    wanted = {
        "featureFlagName": "new-checkout", "organizationId": where.pk if where else None,
        "apply": {"enabled": True}, "scheduledAt": TOMORROW.isoformat(), **more,
    }  # fmt: skip
    return {name: value for name, value in wanted.items() if value is not None}


def created(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 201, response.content
    schedules: list[dict[str, Any]] = response.json()["schedules"]
    return schedules


def test_a_change_is_scheduled_in_any_zone_and_answered_in_utc(api: Api, cast: Cast, flag: Flag) -> None:
    response = api.post(
        PATH, body(cast.oslo, scheduledAt=f"{YEAR}-01-31T09:00:00+01:00", reason="x"), X_Request_ID="r1"
    )
    (answer,) = created(response)
    assert response["Location"] == f"{PATH}/{answer['id']}"
    assert answer == {
        "id": answer["id"], "featureFlagName": "new-checkout", "organizationId": cast.oslo.pk,
        "apply": {"enabled": True}, "scheduledAt": f"{YEAR}-01-31T08:00:00.000000Z", "status": "pending",
        "retryCount": 0, "maxRetries": 3, "nextRetryAt": None, "lastError": None, "appliedAt": None, "firstTry": None,
        "changeNumber": None, "jobId": None, "cron": None, "timeZone": None, "seriesId": None, "pairedWithId": None,
        "firstStepId": None,
        "createdBy": answer["createdBy"], "authorOrganizationId": None, "authorGone": None, "reason": "x",
        "correlationId": "r1", "createdAt": answer["createdAt"],
    }  # fmt: skip
    assert answer["createdBy"].endswith(" admin")
    assert api.get(response["Location"]).json() == answer
    entry = AuditEntry.objects.get(action="flag-schedule.create")
    assert (entry.subject, entry.organization_id, entry.reason, entry.via, entry.correlation_id) == (
        f"flag-schedule:{answer['id']}", cast.oslo.pk, "x", "api", "r1",
    )  # fmt: skip


def test_a_local_time_is_read_in_the_zone_that_is_named(api: Api, cast: Cast, flag: Flag) -> None:
    def sunday(month: int, number: int) -> str:
        """The first or a later Sunday of a month."""
        return f"{date(YEAR, month, 7 * number) - timedelta(days=date(YEAR, month, 7).isoweekday() % 7)}"

    def at(local: str) -> Any:
        return api.post(PATH, body(cast.oslo, scheduledAt=local, timeZone="America/New_York"))

    assert created(at(f"{YEAR}-07-01T09:00:00"))[0]["scheduledAt"] == f"{YEAR}-07-01T13:00:00.000000Z"
    back, forward = sunday(11, 1), sunday(3, 2)
    twice = at(f"{back}T01:30:00")  # the clocks go back at 2:00; the first of the two
    assert created(twice)[0]["scheduledAt"] == f"{back}T05:30:00.000000Z"
    skipped = at(f"{forward}T02:30:00")
    assert (skipped.status_code, kind_of(skipped)) == (400, "invalid-schedule")
    assert f"skips {forward} 02:30:00" in skipped.json()["detail"]


def test_on_and_off_are_two_that_know_each_other(api: Api, cast: Cast, flag: Flag) -> None:
    later = (TOMORROW + timedelta(days=1)).isoformat()
    pair = body(cast.oslo, scheduledAt=None, apply=None, onAt=TOMORROW.isoformat(), offAt=later)
    on, off = created(api.post(PATH, pair))
    assert (on["apply"], off["apply"]) == ({"enabled": True}, {"enabled": False})
    assert (on["pairedWithId"], off["pairedWithId"]) == (off["id"], on["id"])
    assert on["scheduledAt"] < off["scheduledAt"]


def test_a_recurring_one_waits_for_its_next_slot(api: Api, cast: Cast, flag: Flag) -> None:
    answer = api.post(PATH, body(cast.oslo, scheduledAt=None, cron="0 9 * * mon-fri", timeZone="Europe/Oslo"))
    (schedule,) = created(answer)
    assert (schedule["cron"], schedule["timeZone"]) == ("0 9 * * mon-fri", "Europe/Oslo")
    assert datetime.fromisoformat(schedule["scheduledAt"]) > datetime.now(UTC)


def test_a_recurring_one_is_found_by_its_first_occurrence_and_ended_by_the_next(
    api: Api, cast: Cast, flag: Flag
) -> None:
    again = {"scheduledAt": None, "cron": "0 9 * * *", "timeZone": "UTC"}
    (other,) = created(api.post(PATH, body(cast.oslo, **again)))
    (first,) = created(api.post(PATH, body(cast.rome, **again)))
    occurrences = [first["id"]]
    for _ in range(2):
        let_come(occurrences[0])
        apply_due()
        occurrences = ids(api.get(PATH, seriesId=first["id"]))
    assert (len(occurrences), occurrences[-1]) == (3, first["id"])
    assert ids(api.get(PATH, seriesId=other["id"])) == [other["id"]]
    pending, *past = occurrences
    assert ids(api.get(PATH, seriesId=first["id"], status="pending")) == [pending]
    for one in past:
        refused = api.post(f"{PATH}/{one}/cancel")
        assert kind_of(refused) == "schedule-not-cancellable"
        assert refused.json()["detail"] == (
            f"Schedule {one} is applied and cannot be cancelled. Its next occurrence is {pending}."
        )
    assert api.post(f"{PATH}/{pending}/cancel").status_code == 200
    refused = api.post(f"{PATH}/{first['id']}/cancel")
    assert refused.json()["detail"] == f"Schedule {first['id']} is applied and cannot be cancelled."
    assert wrong_fields(api.get(PATH, seriesId="x")) == {"seriesId"}


def test_a_definition_is_scheduled_and_applied(api: Api, cast: Cast, flag: Flag) -> None:
    wanted = {"enabled": True, "rolloutPercentage": 12.5, "killed": False, "userWhitelist": ["ada"]}
    (schedule,) = created(api.post(PATH, body(None, apply=wanted)))
    assert schedule["organizationId"] is None
    let_come(schedule["id"])
    apply_due()
    flag.refresh_from_db()
    assert (flag.enabled, float(flag.rollout_percentage or 0), flag.whitelist, flag.version) == (True, 12.5, ["ada"], 2)
    assert flag.updated_by == schedule["createdBy"]
    entry = AuditEntry.objects.get(action="flag.update")
    assert entry.details["before"] == {
        "enabled": False, "rolloutPercentage": None, "userWhitelist": [],
    }  # fmt: skip
    changed = {name: value for name, value in wanted.items() if name != "killed"}  # it was so already
    assert (entry.details["after"], entry.via) == (changed, "schedule")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scheduledAt": f"{YEAR}-01-31T09:00:00"}, "no offset"),
        ({"scheduledAt": "2020-01-31T09:00:00Z"}, "is in the past"),
        ({"scheduledAt": "2090-01-31T09:00:00Z"}, "ten years"),
        ({"scheduledAt": f"{YEAR}-01-31T09:00:00", "timeZone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"scheduledAt": f"{YEAR}-01-31T09:00:00", "timeZone": "../../etc/passwd"}, "no time zone"),
        ({"apply": {}}, "at least one field"),
        ({"apply": {"enabled": 1}}, "enabled: Neither true nor false."),
        ({"apply": {"killed": True}}, "on or off"),
        ({"apply": {"colour": "red"}}, "'colour' cannot be scheduled"),
        ({"scheduledAt": None, "cron": "0 9 * *", "timeZone": "UTC"}, "five fields"),
        ({"scheduledAt": None, "cron": "61 9 * * *", "timeZone": "UTC"}, "is not valid"),
        ({"scheduledAt": None, "cron": "0 9 30 2 *", "timeZone": "UTC"}, "never occurs"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    api: Api, cast: Cast, flag: Flag, wrong: dict[str, Any], words: str
) -> None:
    response = api.post(PATH, body(cast.oslo, **wrong))
    assert (response.status_code, kind_of(response)) == (400, "invalid-schedule")
    assert words in response.json()["detail"]
    assert not FlagSchedule.objects.exists()


@pytest.mark.parametrize("percentage", [-1, 100.1, 12.3456, "12", True, 1e300])
def test_a_percentage_has_its_bounds(api: Api, cast: Cast, flag: Flag, percentage: Any) -> None:
    assert kind_of(api.post(PATH, body(None, apply={"rolloutPercentage": percentage}))) == "invalid-schedule"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scheduledAt": "tomorrow"}, "scheduledAt"),
        ({"scheduledAt": 1893456000}, "scheduledAt"),
        ({"scheduledAt": f"{YEAR}-13-31T09:00:00Z"}, "scheduledAt"),
        ({"apply": [1]}, "apply"),
        ({"featureFlagName": "no blanks"}, "featureFlagName"),
        ({"maxRetries": 11}, "maxRetries"),
        ({"maxRetries": -1}, "maxRetries"),
        ({"organizationId": 4.5}, "organizationId"),
        ({"scheduledAt": None}, ""),
        ({"onAt": f"{YEAR}-01-31T09:00:00Z"}, ""),
        ({"scheduledAt": None, "cron": "0 9 * * *"}, "timeZone"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(api: Api, cast: Cast, flag: Flag, wrong: dict[str, Any], field: str) -> None:
    assert wrong_fields(api.post(PATH, body(cast.oslo, **wrong))) == {field}


def test_a_flag_or_an_organization_that_is_not_there_is_told(api: Api, cast: Cast, flag: Flag) -> None:
    assert kind_of(api.post(PATH, body(cast.oslo, featureFlagName="none"))) == "flag-not-found"
    assert kind_of(api.post(PATH, body(cast.oslo) | {"organizationId": 2**62})) == "organization-not-found"
    assert kind_of(api.get(f"{PATH}/{2**62}")) == "schedule-not-found"


def test_no_change_is_scheduled_for_a_flag_that_is_being_purged(api: Api, cast: Cast, flag: Flag) -> None:
    assert api.delete(f"/v1/feature-flags/{flag.key}").status_code == 200
    assert api.delete(f"/v1/feature-flags/{flag.key}?purge=true").status_code == 202
    for where in (cast.oslo, None):
        assert kind_of(api.post(PATH, body(where))) == "flag-purging"
    assert not FlagSchedule.objects.exists()


def test_a_subtrees_key_schedules_and_sees_there_only(api: Api, cast: Cast, flag: Flag) -> None:
    theirs = key_of(Role.EDITOR, cast.north)
    (own,) = created(theirs.post(PATH, body(cast.oslo)))
    assert kind_of(theirs.post(PATH, body(cast.rome))) == "organization-not-found"
    assert kind_of(theirs.post(PATH, body(None))) == "outside-of-your-subtree"
    (definition,), (rome,) = created(api.post(PATH, body(None))), created(api.post(PATH, body(cast.rome)))
    assert ids(theirs.get(PATH)) == [own["id"]]
    assert ids(api.get(PATH)) == [rome["id"], definition["id"], own["id"]]
    for stranger in (definition, rome):
        assert kind_of(theirs.get(f"{PATH}/{stranger['id']}")) == "schedule-not-found"
        assert kind_of(theirs.post(f"{PATH}/{stranger['id']}/cancel")) == "schedule-not-found"
    assert theirs.post(f"{PATH}/{own['id']}/cancel").json()["status"] == "cancelled"
    assert FlagSchedule.objects.filter(status="pending").count() == 2


def test_readers_read_editors_cancel_operators_retry(api: Api, cast: Cast, flag: Flag) -> None:
    (schedule,) = created(api.post(PATH, body(cast.oslo)))
    address = f"{PATH}/{schedule['id']}"
    reader, editor = key_of(Role.READER), key_of(Role.EDITOR)
    assert reader.get(address).status_code == reader.get(PATH).status_code == 200
    for refused in (
        reader.post(PATH, body(cast.oslo)),
        reader.post(f"{address}/cancel"),
        editor.post(f"{address}/retry"),
    ):
        assert (refused.status_code, kind_of(refused)) == (403, "not-permitted")
    assert Api(None).get(PATH).status_code == 401
    assert editor.post(f"{address}/cancel", {"reason": "called off"}).status_code == 200
    assert AuditEntry.objects.get(action="flag-schedule.cancel").reason == "called off"


def test_the_list_is_filtered_and_comes_in_pages(api: Api, cast: Cast, flag: Flag) -> None:
    Flag.objects.create(key="other")
    days = [TOMORROW + timedelta(days=day) for day in range(3)]
    first, second, third = (
        created(api.post(PATH, body(cast.oslo, scheduledAt=day.isoformat())))[0]["id"] for day in days
    )
    (other,) = created(api.post(PATH, body(cast.rome, featureFlagName="other")))
    api.post(f"{PATH}/{second}/cancel")
    assert ids(api.get(PATH, status="cancelled")) == [second]
    assert ids(api.get(PATH, organizationId=cast.rome.pk)) == [other["id"]]
    assert ids(api.get(PATH, flag="new-checkout")) == [third, second, first]
    between = {"from": days[1].isoformat(), "to": days[2].isoformat()}
    assert ids(api.get(PATH, **between)) == [second]
    page = api.get(PATH, pageSize=2)
    assert ids(page) == [other["id"], third]
    assert ids(api.get(page.json()["next"])) == [second, first]
    assert wrong_fields(api.get(PATH, status="lost")) == {"status"}
    assert wrong_fields(api.get(PATH, **{"from": f"{YEAR}-01-01T00:00:00"})) == {"from"}
    assert wrong_fields(api.get(PATH, organizationId="")) == {"organizationId"}


def test_what_is_settled_is_neither_cancelled_nor_retried(api: Api, cast: Cast, flag: Flag) -> None:
    (schedule,) = created(api.post(PATH, body(cast.oslo)))
    address = f"{PATH}/{schedule['id']}"
    assert kind_of(api.post(f"{address}/retry")) == "schedule-not-retryable"
    let_come(schedule["id"])
    apply_due()
    done = api.get(address).json()
    assert (done["status"], done["firstTry"], done["retryCount"], done["nextRetryAt"]) == ("applied", True, 0, None)
    assert kind_of(api.post(f"{address}/cancel")) == "schedule-not-cancellable"
    assert kind_of(api.post(f"{address}/retry")) == "schedule-not-retryable"


def test_one_that_failed_for_good_is_tried_again_when_asked(api: Api, cast: Cast, flag: Flag) -> None:
    (schedule,) = created(api.post(PATH, body(cast.oslo)))
    FlagSchedule.objects.update(status="failed", retry_count=3, attempts=4, last_error="disk full")
    let_come(schedule["id"])
    answer = api.post(f"{PATH}/{schedule['id']}/retry", {"reason": "disk emptied"})
    assert (answer.status_code, answer.json()["status"], answer.json()["retryCount"]) == (202, "pending", 0)
    apply_due()
    done = api.get(f"{PATH}/{schedule['id']}").json()
    assert (done["status"], done["firstTry"], done["lastError"]) == ("applied", False, None)
    assert AuditEntry.objects.get(action="flag-schedule.retry").reason == "disk emptied"


def test_the_same_request_twice_schedules_once(api: Api, cast: Cast, flag: Flag) -> None:
    first, again = (api.post(PATH, body(cast.oslo), Idempotency_Key="k") for _ in range(2))
    assert first.json() == again.json()
    assert FlagSchedule.objects.count() == 1


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "0999-12-31T23:59:59Z", "3000-01-01T00:00:00Z"])
def test_a_time_of_a_year_that_is_not_in_the_document_is_refused(api: Api, cast: Cast, flag: Flag, at: str) -> None:
    response = api.post(PATH, body(cast.oslo, scheduledAt=at))
    assert wrong_fields(response) == {"scheduledAt"}
    assert "Write a time of the years 1000 to 2999." in response.content.decode()


def test_times_far_away_in_odd_zones_are_filters_like_others_or_refused(api: Api) -> None:
    assert api.get(PATH, to="1712-08-20T15:07:21.6+21:17").json()["results"] == []
    assert api.get(PATH, **{"from": "0001-01-01T00:00:00+14:00"}).status_code == 400
