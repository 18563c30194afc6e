"""What a flag says to somebody, and why: /v1/feature-flags/{name}/check and …/explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.tests.serving.asking import Asking
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.operations import job_operations
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tree import tree_operations
from orgs.tree.models import Organization

BASE = "/v1/feature-flags/new-ui"
ENDPOINTS = ("check", "explain")


@pytest.fixture
def api(cast: Cast, reader_key: str) -> Api:
    return Api(reader_key)


def define(name: str = "new-ui", **values: Any) -> Flag:
    return service.create(key=name, values=values, by="user:olga")


def put(organization: Organization, *, enabled: bool = True, flag: str = "new-ui", carry: bool = True) -> int:
    accepted = set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled, requested_by="user:olga")
    while carry and runner.run_next("propagation"):
        pass
    return accepted.change.number


def asked(api: Api, how: str = "check", **question: Any) -> Any:
    """The answer, the same to GET and POST."""
    got, posted = api.get(f"{BASE}/{how}", **question), api.post(f"{BASE}/{how}", question)
    assert (got.status_code, got.content) == (posted.status_code, posted.content)
    return got


def answer(api: Api, how: str = "check", **question: Any) -> Any:
    response = asked(api, how, **question)
    assert response.status_code == 200, response.content
    return response.json()


def test_the_answer_names_the_rule_and_where_the_value_comes_from(api: Api, cast: Cast) -> None:
    define()
    number = put(cast.acme)
    assert answer(api, organizationId=cast.oslo.pk, userId="u", environment="staging") == {
        "name": "new-ui", "enabled": True, "variant": "on", "value": True, "reason": "TARGETING_MATCH",
        "rule": "organization",
        "organizationId": cast.oslo.pk, "sourceOrganizationId": cast.acme.pk, "changeNumber": number, "version": 1,
        "userId": "u", "environment": "staging", "ruleId": None,
    }  # fmt: skip
    assert answer(api, organizationKey="oslo") == answer(api, organizationId=cast.oslo.pk)
    assert answer(api, organizationKey="rival")["rule"] == "default"


def test_each_rule_has_its_say(api: Api, cast: Cast) -> None:
    flag = define(enabled=True)
    needed = define("needed")
    put(cast.oslo, enabled=True)

    def says(**question: Any) -> tuple[bool, str, str]:
        found = answer(api, organizationId=cast.oslo.pk, **question)
        return found["enabled"], found["rule"], found["reason"]

    def change(**values: Any) -> None:
        service.update(key=flag.key, values=values, by="user:olga")

    assert answer(api)["rule"] == "default"
    change(rollout_percentage=0)
    assert says(userId="u") == (False, "rollout", "SPLIT")
    change(targeting_rules=[{"id": "r", "clauses": [{"op": "level", "values": [2]}], "serve": {"variant": "on"}}])
    assert says(userId="u") == (True, "targeting", "TARGETING_MATCH")
    change(whitelist=["u"])
    assert says(userId="u") == (True, "whitelist", "TARGETING_MATCH")
    change(environments={"staging": True})
    assert says(userId="u", environment="staging") == (True, "environment", "TARGETING_MATCH")
    change(prerequisites=[needed.key])
    assert says(userId="u", environment="staging") == (False, "prerequisite", "TARGETING_MATCH")
    change(killed=True)
    assert says(userId="u", environment="staging") == (False, "killed", "DISABLED")
    change(archived=True)
    assert says(userId="u", environment="staging") == (False, "archived", "DISABLED")


def test_an_environment_override_does_not_pass_over_a_killed_prerequisite(api: Api, cast: Cast, asking: Asking) -> None:
    define("needed", enabled=True, killed=True)
    define(environments={"staging": True}, prerequisites=["needed"])
    found = answer(api, "explain", organizationKey="oslo", environment="staging")
    assert (found["enabled"], found["rule"]) == (False, "prerequisite")
    assert found["steps"][-1] == {
        "rule": "prerequisite", "outcome": "off", "detail": "The prerequisite 'needed' is off, by the rule killed.",
    }  # fmt: skip
    evaluated = asking.one("new-ui", organizationKey="oslo", environment="staging").body
    assert (evaluated["value"], evaluated["metadata"]["rule"]) == (False, "prerequisite")


@pytest.mark.parametrize("how", ENDPOINTS)
def test_whom_it_is_asked_for_has_to_be_said_where_that_matters(api: Api, cast: Cast, how: str) -> None:
    define(enabled=True, rollout_percentage=50)
    for response in (asked(api, how), asked(api, how, organizationKey="oslo")):
        assert (response.status_code, kind_of(response)) == (400, "targeting-key-missing")
    assert asked(api, how, userId="u").status_code == 200
    service.update(key="new-ui", values={"rollout_unit": "organization"}, by="user:olga")
    assert kind_of(asked(api, how, userId="u")) == "targeting-key-missing"
    assert asked(api, how, organizationKey="oslo").status_code == 200


def test_explain_shows_the_steps_up_to_the_one_that_has_to_know_the_user(api: Api, cast: Cast) -> None:
    define(rollout_percentage=50)
    number = put(cast.oslo)
    problem = asked(api, "explain", organizationKey="oslo").json()
    assert problem["type"] == "/problems/targeting-key-missing"
    assert [(step["rule"], step["outcome"]) for step in problem["steps"]] == [
        (rule, "next")
        for rule in (
            "archived", "killed", "prerequisite", "environment", "whitelist", "targeting", "organization", "default",
        )
    ]  # fmt: skip
    assert problem["steps"][6]["detail"] == (
        f"The value is on. It was set on this organization by change {number}. The rollout decides."
    )
    assert "steps" not in asked(api, "check", organizationKey="oslo").json()


def test_where_a_prerequisite_has_to_know_the_user_the_steps_end_before_it(api: Api, cast: Cast) -> None:
    service.create(key="needed", values={"enabled": True, "rollout_percentage": 50}, by="user:olga")
    define(enabled=True, prerequisites=["needed"])
    problem = asked(api, "explain").json()
    assert problem["detail"] == "The rollout of the flag 'needed' needs a targeting key, and the request has none."
    assert [step["rule"] for step in problem["steps"]] == ["archived", "killed"]


@pytest.mark.parametrize("how", ENDPOINTS)
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("userId", [None, 1, [], "x" * 65_537, "\x00", "\ud800"]),
        ("organizationId", [None, 0, -1, "", 1.5, True, 10**30]),
        ("organizationKey", [None, 1, "x" * 256, "\x00"]),
        ("environment", [None, 1, {}, "x" * 65_537, "\x00"]),
        ("nonsense", [1]),
    ],
)
def test_nonsense_in_a_question_is_told_by_its_name(api: Api, how: str, field: str, values: list[Any]) -> None:
    define()
    for value in values:
        assert wrong_fields(api.post(f"{BASE}/{how}", {field: value})) == {field}, value
    response = api.send("GET", f"{BASE}/{how}?{field}=%00")
    assert (response.status_code, kind_of(response)) == (400, "invalid-input")
    assert wrong_fields(api.get(f"{BASE}/{how}?{field}=1&{field}=2")) == {field}


@pytest.mark.parametrize("how", ENDPOINTS)
def test_what_is_empty_is_not_given(api: Api, cast: Cast, how: str) -> None:
    define(enabled=True, environments={"staging": False})
    empty = {"userId": "", "environment": "", "organizationKey": ""}
    assert answer(api, how, **empty) == answer(api, how)
    assert answer(api, how, organizationId=cast.oslo.pk, **empty)["organizationId"] == cast.oslo.pk
    service.update(key="new-ui", values={"rollout_percentage": 50}, by="user:olga")
    assert kind_of(asked(api, how, **empty)) == "targeting-key-missing"


@pytest.mark.parametrize(
    "question", [{"userId": "x" * 2000}, {"userId": " u "}, {"environment": "x" * 65}, {"environment": " staging "}]
)
def test_what_an_evaluation_takes_a_question_takes_as_it_is(
    api: Api, cast: Cast, asking: Asking, question: dict[str, str]
) -> None:
    define(enabled=True, rollout_percentage=50, salt="s", environments={"staging": False})
    question = {"userId": "u", **question}
    evaluated = asking.one("new-ui", targetingKey=question["userId"], environment=question.get("environment"))
    found = answer(api, **question)
    assert (found["enabled"], found["rule"]) == (evaluated.body["value"], "rollout")
    assert {name: found[name] for name in question} == question


def test_a_user_too_long_for_an_address_is_asked_for_in_a_body(api: Api, cast: Cast) -> None:
    define(enabled=True)
    assert api.get(f"{BASE}/check", userId="x" * 2001).status_code == 400
    assert api.post(f"{BASE}/check", {"userId": "x" * 65_536}).json()["userId"] == "x" * 65_536


@pytest.mark.parametrize("how", ENDPOINTS)
def test_other_nonsense_is_a_problem(api: Api, cast: Cast, how: str) -> None:
    define()
    for body in (b"[]", b"{", b"7", b"\xff"):
        assert kind_of(api.post(f"{BASE}/{how}", body)) in {"bad-request", "invalid-input"}
    assert asked(api, how, organizationId=cast.oslo.pk, organizationKey="oslo").status_code == 200
    assert kind_of(asked(api, how, organizationId=cast.oslo.pk, organizationKey="north")) == "organization-ambiguous"
    assert kind_of(api.get(f"/v1/feature-flags/missing/{how}")) == "flag-not-found"
    assert kind_of(api.get(f"/v1/feature-flags/-odd/{how}")) == "invalid-flag-name"
    for missing in ({"organizationId": 999_999}, {"organizationKey": "nobody"}):
        assert kind_of(asked(api, how, **missing)) == "organization-not-found"


@pytest.mark.parametrize("how", ENDPOINTS)
def test_a_bound_key_asks_for_its_own_subtree_and_nothing_else(api: Api, cast: Cast, how: str) -> None:
    define()
    put(cast.acme)
    bound = Api(_key("b", Role.READER, cast.north))
    assert answer(bound, how)["organizationId"] == cast.north.pk
    assert answer(bound, how, organizationKey="oslo")["sourceOrganizationId"] == cast.acme.pk
    for foreign in (cast.acme, cast.south, cast.rival):
        for question in ({"organizationId": foreign.pk}, {"organizationKey": foreign.key}):
            response = asked(bound, how, **question)
            assert (response.status_code, kind_of(response)) == (404, "organization-not-found")


def test_a_bound_key_sees_no_name_of_what_is_above_it(cast: Cast) -> None:
    define()
    put(cast.acme)
    bound = Api(_key("b", Role.READER, cast.north))
    found = answer(bound, "explain", organizationKey="oslo")
    assert [link["key"] for link in found["organizations"]] == ["north", "oslo"]
    assert "acme" not in str(found).lower()
    assert [link["decides"] for link in found["organizations"]] == [False, False]


def test_the_bucket_of_an_ancestor_is_told_without_its_name(cast: Cast) -> None:
    by_ancestor = {"rollout": {"on": 50, "off": 50}, "by": "ancestor", "level": 0}
    below = [{"op": "level", "values": [2]}]
    for values in (
        {"enabled": True, "rollout_percentage": 50, "rollout_unit": "ancestor", "rollout_level": 0},
        {"targeting_rules": [{"id": "r", "clauses": below, "serve": by_ancestor}]},
    ):
        flag = service.create(key=f"by-{len(values)}", values=values, by="user:olga")
        set_flag(organization_id=cast.oslo.pk, flag_key=flag.key, enabled=True)
        found = Api(_key("b", Role.READER, cast.north)).get(
            f"/v1/feature-flags/{flag.key}/explain?organizationKey=oslo"
        )
        assert "The ancestor at level 0 is in bucket" in found.json()["steps"][-1]["detail"]
        assert "acme" not in str(found.json()).lower()


def test_the_explanation_has_every_step_and_every_organization(api: Api, cast: Cast) -> None:
    define(rollout_percentage=100)
    first, second = put(cast.acme, enabled=True), put(cast.north, enabled=False)
    found = answer(api, "explain", organizationKey="oslo")
    assert {part: found[part] for part in answer(api, organizationKey="oslo")} == answer(api, organizationKey="oslo")
    assert [(step["rule"], step["outcome"]) for step in found["steps"]] == [
        ("archived", "next"), ("killed", "next"), ("prerequisite", "next"), ("environment", "next"),
        ("whitelist", "next"), ("targeting", "next"), ("organization", "off"),
    ]  # fmt: skip
    acme, north, oslo = found["organizations"]
    jobs = list(Job.objects.order_by("id").values_list("pk", flat=True))
    assert (acme["id"], acme["name"], acme["storedValue"], acme["changeNumber"]) == (cast.acme.pk, "Acme", True, first)
    assert (acme["jobId"], acme["latestChange"]["jobId"], acme["latestChange"]["requestedBy"]) == (
        jobs[0], jobs[0], "user:olga",
    )  # fmt: skip
    assert (acme["decides"], north["decides"], oslo["decides"]) == (False, True, False)
    assert acme["why"] == (
        f"Its value is on. For the organization {cast.oslo.pk}, the setting of the organization {cast.north.pk} is "
        "nearer: off."
    )
    assert north["why"] == f"Its change {second} gives the stored value: off."
    assert (oslo["latestChange"], oslo["why"], oslo["jobId"]) == (None, "Nobody set it here.", jobs[1])


def test_where_nobody_set_it_the_default_holds_and_no_organization_decides(api: Api, cast: Cast) -> None:
    define(enabled=True)
    found = answer(api, "explain", organizationKey="oslo")
    assert found["steps"][-1] == {"rule": "default", "outcome": "on", "detail": "The default is on."}
    assert {(link["decides"], link["why"], link["storedValue"]) for link in found["organizations"]} == {
        (False, "Nobody set it here.", None)
    }
    assert answer(api, "explain")["organizations"] == []


def test_a_rule_that_comes_first_is_named_as_what_decides(api: Api, cast: Cast) -> None:
    define(killed=True)
    put(cast.acme)
    (top, *_) = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert top["decides"] is False
    assert top["why"].endswith("But the rule killed decides before organizations are asked.")


def test_a_change_on_its_way_is_told_with_how_its_job_stands(api: Api, cast: Cast) -> None:
    define()
    first = put(cast.acme, enabled=True)
    second = put(cast.acme, enabled=False, carry=False)
    job, oslo = Job.objects.latest("id"), f"the organization {cast.oslo.pk}"
    for status in ("PENDING", "CANCELLED"):
        if status == "CANCELLED":
            job_operations.cancel(job_id=job.pk, by="user:olga")
        (top, *_) = answer(api, "explain", organizationKey="oslo")["organizations"]
        assert top["decides"] is True
        assert top["why"] == (
            f"Its change {first} gives the stored value: on. "
            f"Its change {second}, to off, has not arrived at {oslo}: job {job.pk} is {status}."
        )
    Job.objects.all().delete()
    (top, *_) = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert top["why"].endswith(f"Its change {second}, to off, has not arrived at {oslo}.")


def test_a_first_change_on_its_way_is_told_where_it_was_made(api: Api, cast: Cast) -> None:
    define()
    number = put(cast.acme, enabled=True, carry=False)
    job = Job.objects.latest("id")
    acme, north, oslo = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert (
        acme["why"]
        == f"Its change {number}, to on, has not arrived at the organization {oslo['id']}: job {job.pk} is PENDING."
    )
    assert {north["why"], oslo["why"]} == {"Nobody set it here."}
    assert not any(link["decides"] for link in (acme, north, oslo))


def test_a_job_that_is_cleaned_up_while_somebody_asks_is_gone(
    cast: Cast, reader_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = explain._chain_statuses

    def chain_statuses(job_ids: Sequence[int]) -> dict[int, str]:
        Job.objects.all().delete()
        return real(job_ids)

    define()
    put(cast.acme, enabled=True)
    put(cast.acme, enabled=False, carry=False)
    job = Job.objects.latest("id")
    monkeypatch.setattr(explain, "_chain_statuses", chain_statuses)
    (top, *_) = Api(reader_key).get(f"{BASE}/explain", organizationKey="oslo").json()["organizations"]
    assert top["why"].endswith(f"has not arrived at the organization {cast.oslo.pk}: job {job.pk} is gone.")


def test_the_steps_say_where_a_value_was_switched_and_how_a_rollout_counts(api: Api, cast: Cast) -> None:
    define(rollout_percentage=12.5, salt="s")
    number = put(cast.acme)
    for key, where in (("acme", "this organization"), ("oslo", f"organization {cast.acme.pk}")):
        step = answer(api, "explain", organizationKey=key, userId="u")["steps"][6]
        assert step["detail"] == f"The value is on. It was set on {where} by change {number}. The rollout decides."
    said = set()
    for user in range(40):
        checked = explain.check(key="new-ui", organization_id=cast.oslo.pk, context=EvaluationContext(f"u{user}"))
        step = checked.decision.steps[-1]
        said.add((step.enabled, step.detail.partition("100000, ")[2]))
    assert said == {(True, "inside the rollout of 12.5 %."), (False, "outside the rollout of 12.5 %.")}


def test_after_a_move_the_organization_that_the_value_comes_from_decides(api: Api, cast: Cast) -> None:
    define()
    put(cast.rival)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    rival, north, _ = answer(api, "explain", organizationKey="oslo")["organizations"]
    assert (rival["key"], rival["decides"], north["decides"]) == ("rival", True, False)
    assert north["latestChange"]["sourceOrganizationId"] == cast.rival.pk


def test_a_new_organization_to_which_a_job_brings_its_parents_value_names_where_it_comes_from(
    api: Api, cast: Cast, settings: Any
) -> None:
    define()
    number = put(cast.acme)
    settings.FLAGS_INLINE_ROWS = 0
    tree_operations.create(name="New", key="new", parent_id=cast.acme.pk)
    runner.run_next("propagation")
    acme, new = answer(api, "explain", organizationKey="new")["organizations"]
    assert acme["latestChange"]["number"] == new["latestChange"]["number"] == number
    assert (acme["decides"], new["decides"]) == (True, False)


def test_explaining_takes_as_many_queries_for_a_long_way_as_for_a_short_one(api: Api, cast: Cast) -> None:
    define()
    put(cast.acme)
    api.get(BASE)  # the first use of the key is recorded
    counts = []
    place = cast.oslo
    for _ in range(2):
        put(cast.acme, enabled=False, carry=False)
        with CaptureQueriesContext(connection) as queries:
            api.get(f"{BASE}/explain", organizationKey=place.key)
        counts.append(len(queries))
        for number in range(12):
            place = tree_operations.create(name="x", key=f"{place.key}-{number}", parent_id=place.pk)
    assert counts[0] == counts[1] <= 9
    assert FlagState.objects.filter(organization=place).exists()
