"""Reads and explanations of a past moment, by the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from conftest import Cast, _key
from flags.definitions import service
from flags.models import Change, HistoryBegin
from flags.states.set_flag import reset_flag, set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import cleanup
from jobs.tests.engine_steps import LONG_AGO
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.trees import import_rows
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


@pytest.fixture
def bound(cast: Cast) -> Api:
    return Api(_key("bound", Role.EDITOR, cast.north))


def run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def set_(organization: Organization, *, enabled: bool, below: Below = Below.KEEP, **more: Any) -> int:
    accepted = set_flag(
        organization_id=organization.pk, flag_key="checkout", enabled=enabled, below=below, requested_by="olga", **more
    )
    run_jobs()
    return accepted.change.number


def now() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return f"{cursor.fetchone()[0].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def listed(api: Api, organization: Organization, at: str | int) -> dict[str, tuple[bool, int | None]]:
    answer = api.get(f"/organizations/{organization.pk}/flags", at=at)
    assert answer.status_code == 200, answer.content
    return {
        row["featureFlag"]["name"]: (row["featureFlag"]["enabled"], row["sourceOrganizationId"])
        for row in answer.json()["results"]
    }


def one(api: Api, organization: Organization, at: str | int) -> Any:
    return api.get(f"/{organization.pk}/checkout", at=at)


def explained(api: Api, organization: Organization, at: str | int) -> Any:
    return api.get("/v1/feature-flags/checkout/explain", organizationId=organization.pk, userId="u", at=at)


def test_values_sources_and_causes_are_those_of_the_moment(api: Api, cast: Cast) -> None:
    first = set_(cast.acme, enabled=True, reason="the launch")
    between = now()
    second = set_(cast.north, enabled=False, reason="too slow")
    assert listed(api, cast.oslo, between) == listed(api, cast.oslo, first) == {"checkout": (True, cast.acme.pk)}
    assert listed(api, cast.oslo, second) == {"checkout": (False, cast.north.pk)}
    past = one(api, cast.oslo, between).json()["past"]
    told = (past["at"], past["changeNumber"], past["requestedBy"], past["reason"], past["settling"])
    assert told == (between, first, "olga", "the launch", False)
    assert past["acceptedAt"] < past["settledAt"] < between


def test_an_answer_of_now_has_no_past(api: Api, cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    assert "past" not in api.get(f"/{cast.oslo.pk}/checkout").json()
    assert api.get("/v1/feature-flags/checkout/explain", userId="u").json()["past"] is None


def test_a_move_is_seen_from_its_moment_on(api: Api, cast: Cast) -> None:
    set_(cast.north, enabled=True)
    before = now()
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    run_jobs()
    number = Change.objects.filter(kind="move").values_list("number", flat=True).get()
    assert listed(api, cast.oslo, before) == {"checkout": (True, cast.north.pk)}
    assert listed(api, cast.oslo, number) == {}
    path = [entry["id"] for entry in explained(api, cast.oslo, before).json()["organizations"]]
    assert path == [cast.acme.pk, cast.north.pk, cast.oslo.pk]
    path = [entry["id"] for entry in explained(api, cast.oslo, number).json()["organizations"]]
    assert path == [cast.acme.pk, cast.south.pk, cast.oslo.pk]


def test_a_definition_counts_as_it_was(api: Api, cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    before = now()
    service.update(key="checkout", values={"killed": True}, by="ivan")
    answer = explained(api, cast.oslo, before).json()
    assert (answer["enabled"], answer["rule"], answer["version"]) == (True, "organization", 1)
    answer = explained(api, cast.oslo, now()).json()
    assert (answer["enabled"], answer["rule"], answer["version"]) == (False, "killed", 2)


def test_an_explanation_says_what_each_setting_did_then(api: Api, cast: Cast) -> None:
    lock = set_(cast.acme, enabled=False, below=Below.LOCK)
    moment = now()
    reset_flag(organization_id=cast.acme.pk, flag_key="checkout", requested_by="olga")
    run_jobs()
    top = explained(api, cast.oslo, moment).json()["organizations"][0]
    assert (top["decides"], top["setting"]["kind"], top["why"]) == (
        True, "lock", f"Its lock, by change {lock}, gives the stored value: off."
    )  # fmt: skip
    answer = explained(api, cast.oslo, now()).json()
    assert not any(entry["decides"] for entry in answer["organizations"])
    assert "has not arrived" not in " ".join(entry["why"] for entry in answer["organizations"])


def test_the_body_takes_the_moment_too(api: Api, cast: Cast) -> None:
    number = set_(cast.oslo, enabled=True)
    set_(cast.oslo, enabled=False)
    body = {"organizationId": cast.oslo.pk, "userId": "u", "at": str(number)}
    answer = api.post("/v1/feature-flags/checkout/explain", body).json()
    assert (answer["enabled"], answer["past"]["changeNumber"]) == (True, number)


def test_a_change_whose_job_had_not_ended_is_settling(api: Api, cast: Cast) -> None:
    number = set_flag(organization_id=cast.acme.pk, flag_key="checkout", enabled=True).change.number
    before = now()
    past = one(api, cast.oslo, before).json()["past"]
    assert (past["settling"], past["settledAt"]) == (True, None)
    run_jobs()
    past = one(api, cast.oslo, before).json()["past"]
    assert past["settling"]
    assert past["settledAt"] > before
    assert one(api, cast.oslo, number).json()["past"]["settling"]
    assert not one(api, cast.oslo, now()).json()["past"]["settling"]


def test_a_change_keeps_when_it_was_settled_after_its_job_is_gone(api: Api, cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    Job.objects.update(created_at=LONG_AGO, completed_at=LONG_AGO + timedelta(minutes=1))
    cleanup.request()
    runner.run_next("cleanup")
    assert Change.objects.get().job_id is None
    past = one(api, cast.oslo, now()).json()["past"]
    assert datetime.fromisoformat(past["settledAt"]) == LONG_AGO + timedelta(minutes=1)


@pytest.mark.parametrize("at", ["2999-01-01T00:00Z", "yesterday", "2026-02-30T12:00Z", "0", "99999999", "9" * 30, "²"])
def test_a_moment_that_is_none_is_refused(api: Api, cast: Cast, at: str) -> None:
    set_(cast.acme, enabled=True)
    for answer in (one(api, cast.oslo, at), explained(api, cast.oslo, at)):
        assert answer.status_code == 400
    assert kind_of(one(api, cast.oslo, at)) == "invalid-moment"


def test_a_moment_before_history_is_gone(api: Api, cast: Cast) -> None:
    number = set_(cast.acme, enabled=True)
    assert kind_of(one(api, cast.oslo, "2020-01-01T00:00Z")) == "before-history"
    HistoryBegin.objects.update(begins_at=datetime(2026, 1, 1, tzinfo=UTC))
    answer = one(api, cast.oslo, "2025-12-31T23:59Z")
    assert (answer.status_code, answer.json()["beginsAt"]) == (410, "2026-01-01T00:00:00Z")
    assert one(api, cast.oslo, number).status_code == 200


def test_an_organization_or_a_flag_did_not_exist_yet(api: Api, cast: Cast) -> None:
    before = now()
    set_(cast.acme, enabled=True)
    after = now()
    store = tree_operations.create(name="Store", key="store", parent_id=cast.north.pk)
    assert kind_of(one(api, cast.oslo, before)) == "flag-not-found"
    assert listed(api, cast.oslo, before) == {}
    assert kind_of(one(api, store, after)) == "organization-not-found"
    assert listed(api, store, now()) == {"checkout": (True, cast.acme.pk)}


def test_a_deleted_organization_still_counts_for_those_that_were_below_it(api: Api, cast: Cast) -> None:
    set_(cast.north, enabled=True)
    before = now()
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert listed(api, cast.oslo, before) == {"checkout": (True, cast.north.pk)}
    assert kind_of(one(api, cast.bergen, before)) == "organization-not-found"


def test_a_value_that_depended_on_a_purged_flag_is_not_guessed(api: Api, cast: Cast) -> None:
    service.create(key="basket", values={"enabled": True}, by="olga")
    service.create(key="checkout", values={"prerequisites": ["basket"]}, by="olga")
    set_(cast.acme, enabled=True)
    before = now()
    service.update(key="checkout", values={"prerequisites": []}, by="olga")
    service.archive(key="basket", by="olga")
    service.purge(key="basket", by="olga")
    runner.run_next("default")
    assert kind_of(one(api, cast.oslo, before)) == "before-history"
    assert one(api, cast.oslo, now()).json()["featureFlag"]["enabled"]


def test_a_bound_caller_is_not_told_who_changed_something_above(api: Api, bound: Api, cast: Cast) -> None:
    above = set_(cast.acme, enabled=True, reason="secret")
    past = one(bound, cast.oslo, above).json()["past"]
    assert (past["changeNumber"], past["requestedBy"], past["reason"]) == (above, None, None)
    path = [entry["id"] for entry in explained(bound, cast.oslo, above).json()["organizations"]]
    assert path == [cast.north.pk, cast.oslo.pk]
    own = set_(cast.oslo, enabled=False)
    assert one(bound, cast.oslo, own).json()["past"]["requestedBy"] == "olga"


def test_a_bound_caller_sees_an_organization_only_from_when_it_came_into_the_scope(bound: Api, cast: Cast) -> None:
    set_(cast.rome, enabled=True)
    before = now()
    tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.north.pk)
    run_jobs()
    for answer in (one(bound, cast.rome, before), explained(bound, cast.rome, before)):
        assert (answer.status_code, kind_of(answer)) == (404, "organization-not-found")
    assert one(bound, cast.rome, now()).status_code == 200


def test_a_flag_that_a_bound_caller_may_not_see_never_was(bound: Api, cast: Cast) -> None:
    """Neither at a moment of which there is an answer, nor at one of which there is none."""
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    before = now()
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.north.pk)
    set_flag(organization_id=cast.rival.pk, flag_key="hidden", enabled=True)
    set_flag(organization_id=cast.rival.pk, flag_key="needed", enabled=True)
    service.update(key="hidden", values={"prerequisites": ["needed"]}, by="user:olga")
    after = now()
    service.update(key="hidden", values={"prerequisites": []}, by="user:olga")
    service.archive(key="needed", by="user:olga")
    service.purge(key="needed", by="user:olga")
    while runner.run_next("default"):
        pass
    for moment in (before, after):
        hidden, missing = (bound.get(f"/{cast.oslo.pk}/{key}", at=moment) for key in ("hidden", "mising"))
        assert (hidden.status_code, hidden.json()["detail"].replace("hidden", "mising")) == (
            missing.status_code, missing.json()["detail"],
        )  # fmt: skip


def test_a_bound_caller_can_name_only_changes_that_it_may_see(bound: Api, cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    number = set_(cast.rome, enabled=False)
    own = set_(cast.oslo, enabled=False)
    assert kind_of(one(bound, cast.oslo, number)) == "invalid-moment"
    assert one(bound, cast.oslo, own).status_code == 200


def test_a_bound_caller_cannot_tell_a_flag_of_others_from_none(bound: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.rome.pk, flag_key="unheard-of", enabled=True)
    at = now()
    answers = [bound.get(f"/{cast.oslo.pk}/{key}", at=at) for key in ("unheard-of", "nowhere-set")]
    first, second = (answer.json()["detail"].replace("nowhere-set", "unheard-of") for answer in answers)
    assert first == second
    assert {answer.status_code for answer in answers} == {404}


def test_a_change_keeps_its_moment_when_organizations_are_created_below_it(api: Api, cast: Cast, settings: Any) -> None:
    settings.FLAGS_INLINE_ROWS = 0
    number = set_(cast.acme, enabled=True, reason="the launch")
    between = now()
    import_rows(*(f"new-{each},New,{cast.acme.key}" for each in range(3)))
    run_jobs()
    assert Change.objects.filter(number=number).count() > 1
    past = one(api, cast.acme, number).json()["past"]
    assert past["at"] < between
    assert (past["requestedBy"], past["reason"]) == ("olga", "the launch")


def test_pages_of_a_past_moment_follow_each_other(api: Api, cast: Cast) -> None:
    for key in ("a", "b", "c"):
        set_flag(organization_id=cast.oslo.pk, flag_key=key, enabled=True)
    at = now()
    first = api.get(f"/organizations/{cast.oslo.pk}/flags", at=at, pageSize=2).json()
    assert [row["featureFlag"]["name"] for row in first["results"]] == ["a", "b"]
    second = api.client.get(first["next"]).json()
    assert [row["featureFlag"]["name"] for row in second["results"]] == ["c"]


def test_the_number_of_queries_depends_neither_on_the_depth_nor_on_the_changes(
    api: Api, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    parent = cast.oslo
    for level in range(6):
        parent = tree_operations.create(name=f"{level}", key=f"level-{level}", parent_id=parent.pk)
        set_(parent, enabled=level % 2 == 0)
    at = now()
    with django_assert_max_num_queries(11):
        assert one(api, parent, at).status_code == 200
    with django_assert_max_num_queries(11):
        listed(api, parent, at)
    with django_assert_max_num_queries(12):
        assert explained(api, parent, at).status_code == 200


def test_each_organization_of_the_path_has_its_value_of_then(api: Api, cast: Cast) -> None:
    set_(cast.acme, enabled=True)
    number = set_(cast.north, enabled=False, only_here=True)
    reset_flag(organization_id=cast.north.pk, flag_key="checkout")
    told = explained(api, cast.oslo, number).json()["organizations"]
    assert [entry["storedValue"] for entry in told] == [True, False, True]
    assert [entry["sourceOrganizationId"] for entry in told] == [cast.acme.pk, cast.north.pk, cast.acme.pk]
