"""Batch evaluations: the same results as single ones, of one moment, within a scope, in each format."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pyarrow import parquet

from conftest import Cast
from flags.batch_evaluation import batch_evaluation_job, formats, frozen_state, parts
from flags.definitions import service
from flags.definitions.loader import load_definitions
from flags.errors import FlagNotFound, TargetingKeyMissing
from flags.evaluation import engine
from flags.evaluation.context_loader import load_context
from flags.evaluation.engine import EvaluationContext
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.targeting.checks import checked_rules
from jobs.artifacts import files, uploads
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.errors import ArtifactNotFound, CancelRequested, InvalidJobArguments
from jobs.operations import job_operations
from jobs.operations.enqueue import enqueue, enqueue_for
from jobs.tests.engine_steps import before_each, statuses
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.attributes import attribute_operations
from orgs.tests.api import Api, kind_of
from orgs.tests.trees import get, import_rows
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
FLAGS = [f"flag-{number:02}" for number in range(20)]
USERS = [f"user-{number}" for number in range(8)] + ["ü", '=1+1,"x"']
ENVIRONMENT = "production"
Row = dict[str, Any]


def evaluated(*, organization: Organization | None = None, **arguments: Any) -> Job:
    """A batch evaluation that is done."""
    job = enqueue(
        kind="batch_evaluation",
        arguments=arguments,
        organization_id=organization and organization.pk,
        by="command:olga",
    ).job
    run_next("default")
    job.refresh_from_db()
    return job


def content_of(job: Job, name: str) -> bytes:
    with files.opened(job.artifacts.get(name=name).storage_key) as file:
        return file.read()


def manifest_of(job: Job) -> dict[str, Any]:
    return dict(json.loads(content_of(job, "manifest.json")))


def rows_of(job: Job) -> list[Row]:
    """All rows of all parts, with the types that JSON lines have."""
    found: list[Row] = []
    for part in manifest_of(job)["parts"]:
        content = content_of(job, part["name"])
        assert (part["bytes"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        rows = list(_rows(part["name"], content))
        assert len(rows) == part["evaluations"]
        found += rows
    return found


def _rows(name: str, content: bytes) -> Iterator[Row]:
    if name.endswith(".jsonl"):
        yield from map(json.loads, content.splitlines())
    elif name.endswith(".parquet"):
        for row in parquet.read_table(io.BytesIO(content)).to_pylist():
            yield row | {"value": json.loads(row["value"] or "null")}
    else:
        words = {"true": True, "false": False, "": None}
        for row in csv.DictReader(io.StringIO(content.decode(), newline="")):
            number = int(row["organizationId"])
            yield {key: words.get(text, text) for key, text in row.items()} | {"organizationId": number}


def single(flag: str, organization_id: int, user: str | None, environment: str | None) -> Row:
    """What one evaluation says, by the rules themselves."""
    definitions, context = load_definitions(), load_context(organization_id)
    return _single(definitions, context, flag, user, environment)


def _single(definitions: Any, context: Any, flag: str, user: str | None, environment: str | None) -> Row:
    row = {
        "organizationId": context.ids[-1], "organizationKey": context.keys[-1], "targetingKey": user, "flag": flag,
    }  # fmt: skip
    try:
        decision = engine.evaluate(definitions[flag], context, EvaluationContext(user, environment), definitions)
    except TargetingKeyMissing:
        failed = {"enabled": None, "variant": None, "reason": "ERROR", "rule": "rollout"}
        return row | failed | {"errorCode": "TARGETING_KEY_MISSING", "value": None}
    return row | {
        "enabled": decision.enabled,
        "variant": decision.variant,
        "reason": decision.reason,
        "rule": decision.rule,
        "errorCode": None,
        "value": decision.value,
    }


def define_at_random(generator: random.Random) -> None:
    """Define flags of every kind, which need earlier ones."""
    for number, key in enumerate(FLAGS):
        unit = generator.choice(["targetingKey", "organization", "ancestor"])
        values: dict[str, Any] = {
            "enabled": generator.random() < 0.5,
            "rollout_percentage": generator.choice([0, 25, 50, 100]),
            "rollout_unit": unit,
            "rollout_level": generator.randint(0, 3) if unit == "ancestor" else None,
            "killed": generator.random() < 0.1,
            "whitelist": generator.sample(USERS, generator.randint(0, 2)),
            "environments": {"production": generator.random() < 0.5} if generator.random() < 0.2 else {},
            "prerequisites": generator.sample(FLAGS[:number], min(number, generator.choice([0, 0, 1, 2]))),
        }
        service.create(key=key, values=values, by="command:olga")


def make_tree(generator: random.Random, count: int) -> list[Organization]:
    """A tree with organizations in random places."""
    rows = ["r,Root,"] + [f"o{n},O{n},{'r' if n < 5 else f'o{generator.randrange(n)}'}" for n in range(count - 1)]
    import_rows(*rows)
    return list(Organization.objects.order_by("id"))


def set_at_random(generator: random.Random, organizations: list[Organization]) -> None:
    for organization in [organizations[0], *generator.sample(organizations, 30)]:
        for flag in generator.sample(FLAGS, 5):
            set_flag(
                organization_id=organization.pk, flag_key=flag, enabled=generator.random() < 0.6,
                requested_by="command:olga",
            )  # fmt: skip
    while run_next("propagation"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_result_is_the_one_of_a_single_evaluation(seed: int) -> None:
    generator = random.Random(seed)
    define_at_random(generator)
    organizations = make_tree(generator, 200)
    set_at_random(generator, organizations)
    # some organizations wait for their states, as after an import
    FlagState.objects.filter(organization_id__in=[one.pk for one in generator.sample(organizations[1:], 20)]).delete()
    got = rows_of(evaluated(flags=FLAGS, users=USERS, environment=ENVIRONMENT, format="jsonl"))
    definitions = load_definitions()
    wanted = [
        _single(definitions, context, flag, user, ENVIRONMENT)
        for context in (load_context(row.pk) for row in organizations)
        for user in USERS
        for flag in FLAGS
    ]
    order = lambda row: (row["organizationId"], USERS.index(row["targetingKey"]), row["flag"])  # noqa: E731
    assert len(got) == 200 * 20 * 10
    assert sorted(got, key=order) == sorted(wanted, key=order)
    assert len({row["rule"] for row in got}) > 5, "the flags are of many kinds"


@pytest.fixture
def sale(cast: Cast) -> str:
    """A flag that is on in half of acme, for half of its users, and that needs another flag."""
    service.create(key="base", values={"enabled": True}, by="command:olga")
    service.create(key="sale", values={"rollout_percentage": 50, "prerequisites": ["base"]}, by="command:olga")
    set_flag(organization_id=cast.north.pk, flag_key="sale", enabled=True, requested_by="command:olga")
    run_next("propagation")
    return "sale"


def test_the_api_evaluates_the_same(sale: str, cast: Cast, admin_key: str) -> None:
    for row in rows_of(evaluated(flags=[sale], users=USERS[:3], organization=cast.north)):
        asked = {"userId": row["targetingKey"], "organizationId": row["organizationId"]}
        one = Api(admin_key).get(f"/v1/feature-flags/{sale}/check", **asked).json()
        assert (one["enabled"], one["reason"], one["rule"]) == (row["enabled"], row["reason"], row["rule"])


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_each_format_says_the_same(sale: str, cast: Cast, file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EVALUATIONS_OF_PART", 20)
    monkeypatch.setattr(batch_evaluation_job, "EVALUATIONS_OF_BLOCK", 7)
    monkeypatch.setattr(formats.ParquetWriter, "ROWS_OF_GROUP", 5)
    job = evaluated(flags=[sale, "base"], users=USERS, organization=cast.acme, format=file_format)
    rows = rows_of(job)
    if file_format == "csv":  # no spreadsheet runs it as a formula
        rows = [row | {"targetingKey": row["targetingKey"].removeprefix("'")} for row in rows]
    assert rows == [
        single(flag, organization.pk, user, None)
        for organization in cast.of_acme
        for user in USERS
        for flag in (sale, "base")
    ]
    assert len(manifest_of(job)["parts"]) == 6


def test_the_attributes_of_an_organization_may_be_long(sale: str, cast: Cast) -> None:
    values: dict[str, Any] = {f"plan{number}": ["x" * 1_000] * 50 for number in range(3)}
    attribute_operations.change(organization_id=cast.oslo.pk, values=values)
    clauses = [{"attribute": f"org.{name}", "op": "in", "values": ["x"]} for name in values]
    rules = checked_rules([{"clauses": clauses, "serve": {"variant": "on"}}])
    service.update(key=sale, values={"targeting_rules": rules}, by="x")
    assert rows_of(evaluated(flags=[sale]))


def test_without_users_each_flag_is_evaluated_once_for_each_organization(sale: str, cast: Cast) -> None:
    rows = rows_of(evaluated(flags=[sale], organization=cast.north, format="jsonl"))
    assert rows == [single(sale, each.pk, None, None) for each in (cast.north, cast.oslo, cast.bergen)]
    assert {row["errorCode"] for row in rows} == {"TARGETING_KEY_MISSING"}


def test_the_manifest_and_the_result_say_what_was_evaluated(sale: str, cast: Cast) -> None:
    job = evaluated(flags=[sale], users=USERS, environment="staging", organization=cast.acme)
    manifest, rows = manifest_of(job), rows_of(job)
    on = sum(row["enabled"] for row in rows)
    short = {name: manifest[name] for name in job.result or {}} | {"parts": len(manifest["parts"])}
    assert job.result == short
    assert (job.result["organizations"], job.result["users"], job.result["evaluations"]) == (6, 10, 60)
    assert (job.result["on"], job.result["off"], job.result["undecided"], 0 < on < 30) == (on, 60 - on, 0, True)
    assert {key: (one["version"], one["isPrerequisite"]) for key, one in manifest["definitions"].items()} == {
        "base": (1, True), "sale": (1, False),
    }  # fmt: skip
    assert manifest["definitions"]["sale"]["newestChangeNumber"]
    assert (manifest["environment"], manifest["organizationId"], manifest["jobId"]) == ("staging", cast.acme.pk, job.pk)
    assert (job.processed, job.total) == (6, 6)


def test_changes_after_the_beginning_do_not_count(sale: str, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [single(sale, each.pk, USERS[0], None) for each in cast.of_acme]
    real = frozen_state.FrozenState.organizations

    def changed(state: frozen_state.FrozenState) -> Any:
        service.archive(key="base", by="command:olga")
        set_flag(organization_id=cast.acme.pk, flag_key=sale, enabled=False, requested_by="command:olga")
        run_next("propagation")
        return real(state)

    monkeypatch.setattr(frozen_state.FrozenState, "organizations", changed)
    assert rows_of(evaluated(flags=[sale], users=USERS[:1], organization=cast.acme)) == before


@pytest.mark.parametrize(
    ("name", "media_type", "content"),
    [
        ("users.csv", "text/csv", '﻿name,targetingKey\r\nAnn,ann\r\nBob,"b,ob"\r\nAnn,ann\r\n'),
        ("users.jsonl", "application/jsonl", '{"targetingKey": "ann"}\n\n"b,ob"\n'),
        ("users.ndjson", "application/octet-stream", '"ann"\n{"targetingKey": "b,ob", "age": 7}'),
    ],
)
def test_users_come_from_a_file(sale: str, cast: Cast, name: str, media_type: str, content: str) -> None:
    sent = io.BytesIO(content.encode())
    artifact = uploads.upload(Caller("command:olga", Role.ADMIN), sent, name=name, media_type=media_type)
    rows = rows_of(evaluated(flags=[sale], artifactId=artifact.pk, organization=cast.oslo))
    assert rows == [single(sale, cast.oslo.pk, user, None) for user in ("ann", "b,ob")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("users.csv", b"key\nann\n", "has no column targetingKey. Its columns are: key"),
        ("users.csv", b"targetingKey\nann\n\xff\n", "Save it as UTF-8"),
        ("users.csv", b"targetingKey\n", "has no users"),
        ("users.csv", b"targetingKey,x\n,1\n", "Line 2 of users.csv has no valid targeting key"),
        ("users.jsonl", b'"ann"\n{]\n', "Line 2 is not JSON"),
        ("users.jsonl", b'"ann"\n7\n', "Line 2 of users.jsonl has no valid targeting key"),
    ],
)
def test_a_file_of_users_that_cannot_be_read_ends_the_job_with_its_line(
    sale: str, cast: Cast, name: str, content: bytes, words: str
) -> None:
    sent = io.BytesIO(content)
    artifact = uploads.upload(
        Caller("command:olga", Role.ADMIN), sent, name=name, media_type="application/octet-stream"
    )
    job = evaluated(flags=[sale], artifactId=artifact.pk)
    assert (statuses(job), words in str(job.error_message)) == (["FAILED"], True), job.error_message


def test_a_bound_caller_evaluates_its_own_subtree_with_its_own_files(sale: str, cast: Cast) -> None:
    key, secret = access_keys.create(name="acme", role=Role.OPERATOR, organization=cast.acme)
    caller = Caller(f"key:{key.prefix} acme", Role.OPERATOR, cast.acme.pk)
    body = {"kind": "batch_evaluation", "arguments": {"flags": [sale], "users": ["ann"]}}
    answer = Api(secret).post("/v1/queue/jobs", body)
    run_next("default")
    job = Job.objects.get(pk=answer.json()["jobId"])
    assert {row["organizationId"] for row in rows_of(job)} == {each.pk for each in cast.of_acme}
    refused = Api(secret).post("/v1/queue/jobs", body | {"organizationId": cast.rival.pk})
    assert kind_of(refused) == "organization-not-found"
    foreign = uploads.upload(
        Caller("key:x", Role.OPERATOR, cast.rival.pk), io.BytesIO(b'"ann"'), name="u.jsonl", media_type="x/y"
    )
    with pytest.raises(ArtifactNotFound):
        enqueue_for(caller, kind="batch_evaluation", arguments={"flags": [sale], "artifactId": foreign.pk})


def test_the_rights_of_the_requester_count_when_the_job_runs(sale: str, cast: Cast) -> None:
    key, secret = access_keys.create(name="acme", role=Role.OPERATOR, organization=cast.acme)
    body = {"kind": "batch_evaluation", "arguments": {"flags": [sale], "users": ["ann"]}}
    job_id = Api(secret).post("/v1/queue/jobs", body).json()["jobId"]
    access_keys.revoke(prefix=key.prefix)
    run_next("default")
    job = Job.objects.get(pk=job_id)
    assert (job.status, "may no longer request it" in str(job.error_message)) == ("FAILED", True)


def test_what_cannot_succeed_is_refused_at_once(sale: str, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FlagNotFound, match=r"There is no flag 'sael'. Did you mean 'sale'"):
        evaluated(flags=["sael"])
    with pytest.raises(InvalidJobArguments, match="not both"):
        evaluated(flags=[sale], users=["ann"], artifactId=1)
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidJobArguments, match="Parquet needs the package pyarrow"):
        evaluated(flags=[sale], format="parquet")


def test_too_many_evaluations_are_refused_with_their_number(
    sale: str, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_evaluation_job, "MAX_EVALUATIONS", 11)
    job = evaluated(flags=[sale], users=["ann", "bob"], organization=cast.acme)
    assert "These would be 12 evaluations, and a job makes at most 11" in str(job.error_message)


def test_an_organization_that_is_gone_ends_the_job(sale: str, cast: Cast) -> None:
    job = enqueue(kind="batch_evaluation", arguments={"flags": [sale]}, organization_id=cast.oslo.pk, by="schedule").job
    get(cast.oslo.key).delete()
    run_next("default")
    job.refresh_from_db()
    assert "does not exist any more" in str(job.error_message)


def test_a_cancelled_evaluation_leaves_no_artifact(sale: str, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_evaluation_job, "PROGRESS_SECONDS", 0)

    def cancel(run: Any, *_: Any, **counts: Any) -> None:
        if counts.get("processed"):
            job_operations.cancel(job_id=run.job.pk, by="command:olga")

    with before_each("record_progress", cancel):
        job = evaluated(flags=[sale], users=["ann"], organization=cast.acme)
    assert (statuses(job), list(job.artifacts.all())) == (["CANCELLED"], [])
    assert CancelRequested.__name__ not in str(job.error_message)
