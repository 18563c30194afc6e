"""A replay finds exactly the recorded answers that Flagsite does not give, and says what it has compared."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.replay import comparison, moment
from flags.replay.comparison import is_same
from flags.replay.recording import COMPARED
from flags.states.set_flag import set_flag
from flags.tests.replay.replaying import OLGA, Line, as_file, differences_of, line, replayed, summary_of, uploaded
from flags.tests.serving.asking import Asking
from flags.tests.typed_flags import define_typed
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
PROS = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}
INSIDE = {"id": "north", "clauses": [{"op": "inSubtree", "values": ["north"]}]}


def define(cast: Cast) -> None:
    """Flags of each kind, and settings of organizations."""
    service.create(key="plain", values={"enabled": True, "environments": {"production": False}}, by=OLGA)
    service.create(key="half", values={"enabled": True, "rollout_percentage": 50, "whitelist": ["vip"]}, by=OLGA)
    service.create(key="needing", values={"enabled": True, "prerequisites": ["half"]}, by=OLGA)
    service.create(key="killed", values={"enabled": True, "killed": True}, by=OLGA)
    rules = [{**INSIDE, "serve": {"variant": "big"}}, {**PROS, "serve": {"rollout": {"small": 70, "big": 30}}}]
    define_typed("limit", "float", {"small": 1, "big": 2.5}, targeting_rules=rules, off_variant="small")
    define_typed(
        "look",
        "object",
        {"a": {"list": [1, True, None]}, "b": {}},
        targeting_rules=[{**PROS, "serve": {"variant": "b"}}],
    )
    define_typed("gone", "string", {"a": "x"}, killed=True)
    for organization, key, enabled in ((cast.acme, "plain", True), (cast.south, "look", False)):
        set_flag(organization_id=organization.pk, flag_key=key, enabled=enabled, requested_by=OLGA)
    run_next("propagation")


def recorded(asking: Asking, context: dict[str, Any]) -> Line:
    """What Flagsite itself answers, recorded as it comes."""
    answer = asking.all(**context)
    assert answer.status == 200
    return line({entry["key"]: entry for entry in answer.body["flags"]}, **context)


def context_at_random(generator: random.Random, cast: Cast) -> dict[str, Any]:
    choices = {
        "targetingKey": ["vip", None, "", *(f"user-{number}" for number in range(20))],
        "organizationId": [None, cast.oslo.pk, f"id:{cast.rome.pk}", "key:bergen", "acme"],
        "environment": [None, "production", "staging"],
        "plan": [None, "pro", "free", 7],
    }
    chosen = {name: generator.choice(values) for name, values in choices.items()}
    return {name: value for name, value in chosen.items() if value is not None}


OTHERS = {"value": ["another"], "variant": "another", "errorCode": "ANOTHER"}
"""What no flag answers."""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_replay_of_its_own_answers_is_identical_and_one_changed_answer_is_found(
    seed: int, cast: Cast, asking: Asking
) -> None:
    define(cast)
    generator = random.Random(seed)
    lines = [recorded(asking, context_at_random(generator, cast)) for _ in range(40)]
    job = replayed(lines)
    assert (job.status, summary_of(job)["identical"], differences_of(job)) == ("COMPLETED", True, [])
    assert (job.result["contexts"], job.result["comparisons"], job.result["same"]) == (40, 280, 280)
    texts = json.dumps(lines)
    assert all(word in texts for word in ("TARGETING_KEY_MISSING", '"ruleId": "pros"', '"ruleId": "north"', "2.5"))
    for _ in range(3):
        changing = copy.deepcopy(lines)
        number = generator.randrange(40)
        flag, answer = generator.choice(list(changing[number]["flags"].items()))
        member = generator.choice([each for each in COMPARED if each in answer])
        answer[member] = OTHERS[member]
        job = replayed(changing)
        assert (job.result["identical"], job.result["different"], job.result["same"]) == (False, 1, 279)
        assert [(row["line"], row["flag"]) for row in differences_of(job)] == [(str(number + 1), flag)]


def test_a_difference_says_what_was_expected_what_came_and_which_rule_decided(cast: Cast) -> None:
    define(cast)
    job = replayed(
        [
            line({"plain": {"value": True}, "limit": {"value": 2.5}}, targetingKey="ann"),
            line({"plain": {"value": False, "variant": "on"}}, targetingKey="ann", organizationId="oslo"),
            line({"limit": {"value": 1, "variant": "small", "reason": "x"}}, organizationKey="oslo"),
            line({"half": {"value": False}, "unknown": {"value": False}, "gone": {"value": None}}),
            line({"look": {"value": {"list": [1, 1, None]}}, "gone": {"value": "x"}}, targetingKey="ann"),
        ]
    )
    columns = ("line", "flag", "expected", "got", "rule", "ruleId")
    assert [tuple(row[column] for column in columns) for row in differences_of(job)] == [
        ("1", "limit", '{"value":2.5}', '{"value":1.0}', "default", ""),
        ("2", "plain", '{"value":false,"variant":"on"}', '{"value":true,"variant":"on"}', "organization", ""),
        ("3", "limit", '{"value":1,"variant":"small"}', '{"value":2.5,"variant":"big"}', "targeting", "north"),
        ("4", "half", '{"value":false}', '{"errorCode":"TARGETING_KEY_MISSING"}', "rollout", ""),
        ("4", "unknown", '{"value":false}', '{"errorCode":"FLAG_NOT_FOUND"}', "", ""),
        ("5", "look", '{"value":{"list":[1,1,null]}}', '{"value":{"list":[1,true,null]}}', "default", ""),
        ("5", "gone", '{"value":"x"}', '{"value":null}', "killed", ""),
    ]


def test_the_summary_says_what_was_compared_for_each_flag(cast: Cast) -> None:
    define(cast)
    service.update(key="plain", values={"description": "second"}, by=OLGA)
    flags: dict[str, Any] = {"plain": {"value": True}, "unknown": {"errorCode": "FLAG_NOT_FOUND"}}
    content = as_file([line(flags), line({"plain": {"value": False}}), line({})])
    job = replayed(content, organization=cast.acme)
    summary = summary_of(job)
    assert summary["flags"] == {
        "plain": {"version": 2, "comparisons": 2, "same": 1, "different": 1},
        "unknown": {"version": None, "comparisons": 1, "same": 1, "different": 0},
    }
    assert (summary["contexts"], summary["comparisons"], summary["same"], summary["different"]) == (3, 3, 2, 1)
    assert (summary["jobId"], summary["organizationId"]) == (job.pk, cast.acme.pk)
    sha256 = hashlib.sha256(content).hexdigest()
    assert summary["input"] == {
        "artifactId": job.arguments["artifactId"], "bytes": len(content), "sha256": sha256,
    }  # fmt: skip
    assert job.result == {name: value for name, value in summary.items() if name in job.result}
    assert set(summary) - set(job.result) == {"flags", "jobId", "organizationId"}


def test_all_comparisons_are_of_one_moment(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    define(cast)
    real = moment.Moment.evaluator

    def after_a_change(self: moment.Moment, each: Any) -> moment.Evaluator:
        Flag.objects.filter(key="plain").update(killed=True)
        return real(self, each)

    monkeypatch.setattr(moment.Moment, "evaluator", after_a_change)
    assert replayed([line({"plain": {"value": True}}), line({"plain": {"value": True}})]).result["identical"]


@pytest.mark.django_db(transaction=True)
def test_a_change_between_the_readings_of_two_organizations_does_not_count(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.create(key="plain", values={"enabled": True}, by=OLGA)
    real = moment.snapshot_for

    def before_a_change(*arguments: Any) -> Any:
        found = real(*arguments)
        with ThreadPoolExecutor(1) as other:
            other.submit(switch_off).result()
        return found

    def switch_off() -> None:
        set_flag(organization_id=cast.rome.pk, flag_key="plain", enabled=False, requested_by=OLGA)
        run_next("propagation")
        connection.close()

    monkeypatch.setattr(moment, "snapshot_for", before_a_change)
    answers = {"plain": {"value": True}}
    assert replayed([line(answers, organizationKey=key) for key in ("oslo", "rome")]).result["identical"]
    monkeypatch.undo()
    assert not replayed([line(answers, organizationKey=key) for key in ("oslo", "rome")]).result["identical"]


def test_only_the_first_differences_are_kept_and_all_are_counted(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_DIFFERENCES", 3)
    deep: Any = "x" * 5_000
    for _ in range(300):
        deep = [deep]
    job = replayed([line({"unknown": {"value": value}}) for value in ("=1+1", "x" * 5_000, deep, 4, 5)])
    rows = differences_of(job)
    assert (job.result["different"], [row["line"] for row in rows]) == (5, ["1", "2", "3"])
    assert rows[1]["expected"] == '{"value":"' + "x" * 999 + "…}"
    assert rows[2]["expected"] == '{"value":…}'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([], {}, False),
        ([[True]], [[1]], False),
    ],
)
def test_values_are_compared_as_json(one: Any, other: Any, same: bool) -> None:
    assert (is_same(one, other), is_same(other, one)) == (same, same)


def test_a_bound_caller_replays_for_its_own_organization_only(cast: Cast) -> None:
    define(cast)
    _, secret = access_keys.create(name="acme", role=Role.OPERATOR, organization=cast.acme)

    def asked(organization: Organization, *lines: Line) -> Any:
        artifact = uploaded(as_file(lines), organization)
        return Api(secret).post("/v1/queue/jobs", {"kind": "answer_replay", "arguments": {"artifactId": artifact.pk}})

    assert kind_of(asked(cast.rival, line({"plain": {"value": True}}))) == "artifact-not-found"
    answered = asked(cast.acme, line({"plain": {"value": True}}), line({"plain": {"value": 1}}, organizationId="oslo"))
    refused = asked(cast.acme, line({"plain": {"value": True}}), line({}, organizationId=cast.rival.pk))
    while run_next("default"):
        pass
    done, failed = (Job.objects.get(pk=each.json()["jobId"]) for each in (answered, refused))
    assert (done.status, done.result["different"]) == ("COMPLETED", 1)
    assert [row["rule"] for row in differences_of(done)] == ["organization"]
    assert (failed.status, failed.error_message) == (
        "FAILED", "Line 2: There is no such organization, or it is not yours.",
    )  # fmt: skip


def ended(job: Job) -> Job:
    run_next("default")
    job.refresh_from_db()
    return job


def test_the_command_ends_with_1_if_an_answer_differs(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("flags.management.commands.replay.follow", ended)
    define(cast)
    file = tmp_path / "answers.jsonl"
    file.write_bytes(as_file([line({"plain": {"value": True}})]))
    done = run("replay", file, "--organization", "oslo", "--reason", "we move")
    job = Job.objects.get(kind="answer_replay")
    assert (job.organization_id, job.reason) == (cast.oslo.pk, "we move")
    saving = [f"bin/manage save_artifact {job.pk} {name}" for name in ("summary.json", "differences.csv")]
    assert (done.status, done.lines) == (0, ["1 context, 1 comparison: all are the same.", *saving])
    file.write_bytes(as_file([line({"plain": {"value": False}, "half": {}}), line({"plain": {"value": False}})]))
    assert run("replay", file, "--json").document["summary"] is None
    file.write_bytes(as_file([line({"plain": {"value": False}}), line({"plain": {"value": False}})]))
    done = run("replay", file)
    assert (done.status, done.lines[0]) == (1, "2 contexts, 2 comparisons: 2 differ.")
    assert run("replay", file, "--json").document["summary"]["different"] == 2
    assert "No such file" in run("replay", tmp_path / "nothing").error
