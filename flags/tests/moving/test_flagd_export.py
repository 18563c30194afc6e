"""The file for flagd: flagd's own evaluation answers as Flagsite's, or the flag is left out and named."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext as FlagdContext
from openfeature.exception import GeneralError
from referencing import Registry, Resource

from conftest import Cast, _key
from flags.definitions import service
from flags.errors import TargetingKeyMissing
from flags.evaluation.engine import Definition, EvaluationContext, OrganizationContext, StateValue, Unit, evaluate
from flags.evaluation.rollout import BUCKETS
from flags.moving.issues import Issue
from flags.moving.to_flagd import of_organization
from flags.states.set_flag import set_flag
from flags.targeting.checks import checked_rules
from flags.targeting.rule_rollouts import default_rollout_of
from flags.targeting.rules import rules_of
from flags.values.types import FlagType
from flags.values.variants import Variant
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run

SCHEMAS = Path(__file__).parent / "flagd"
"""The schemas of flagd, as https://github.com/open-feature/flagd-schemas publishes them (Apache License 2.0)."""
logging.getLogger("openfeature.contrib").setLevel(logging.CRITICAL)  # it logs each text that is no version
CODE_DEFAULT = "the default of the code"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text())


def validator() -> Any:
    registry: Any = Registry().with_resources([("./targeting.json", Resource.from_contents(schema("targeting.json")))])
    return jsonschema.Draft7Validator(schema("flags.json"), registry=registry)


VALIDATOR = validator()
VALUES = st.one_of(
    st.sampled_from(
        ["", "pro", "Pro", "prod", "1", "1.0", "true", "null", "2.0.0", "v2", "2.1.0-rc.1", "1.2.3.4", "x"]
    ),
    st.sampled_from([0, 1, 2, -1, 1.0, 1.5, 2**40]),
    st.booleans(),
)
ANYTHING = st.one_of(
    st.none(), VALUES, st.lists(st.none() | VALUES | st.lists(VALUES, max_size=1), max_size=3),
    st.dictionaries(st.sampled_from(["pro", "a"]), VALUES, max_size=2),
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(["pro", "o", "", "1", "true", "P"]), min_size=1, max_size=3)
VERSIONS = st.lists(st.sampled_from(["2", "2.0.0", "v2.1.0-rc.1", "1.5"]), min_size=1, max_size=2)
NUMBERS = st.lists(st.sampled_from([0, 1, 1.5, 2]), min_size=1, max_size=2)
ATTRIBUTES = st.sampled_from(["plan", "version", "targetingKey"])


def clauses() -> Any:
    of_attributes = [
        st.fixed_dictionaries({"op": st.just(op), "values": values, "attribute": ATTRIBUTES, "negate": st.booleans()})
        for ops, values in (
            (["in"], st.lists(VALUES, min_size=1, max_size=3)), (["startsWith", "endsWith", "contains"], TEXTS),
            (["lt", "lte", "gt", "gte"], NUMBERS), (["semverEq", "semverLt", "semverGte"], VERSIONS),
            (["exists"], st.just([])),
        ) for op in ops
    ]  # fmt: skip
    of_the_tree = [
        st.fixed_dictionaries({"op": st.just("inSubtree"), "values": st.just([key]), "negate": st.booleans()})
        for key in ("acme", "rival")
    ]
    return st.one_of(*of_attributes, *of_the_tree)


VARIANTS = (Variant(1, "blue", "#00f"), Variant(2, "red", "#f00"), Variant(3, "none", ""))
USERS = ["", "user-1", "user-2", "pro", "1"]


@st.composite
def definitions(draw: Any, *, typed: bool) -> Definition:
    """A definition whose rollouts count as flagd does."""
    keys = [variant.key for variant in VARIANTS]
    weight = st.integers(0, 100)
    serve: Any = st.sampled_from(keys if typed else ["on", "off"]).map(lambda key: {"variant": key})
    by: Any = st.sampled_from([{"by": "targetingKey"}, {"by": "organization"}, {"by": "ancestor", "level": 0}])
    two_keys = st.permutations(keys).map(lambda order: order[:2]) if typed else st.just(["on", "off"])
    serve = serve | st.tuples(weight, by, two_keys).map(
        lambda drawn: {"rollout": {drawn[2][0]: drawn[0], drawn[2][1]: 100 - drawn[0]}} | drawn[1]
    )
    rule = st.fixed_dictionaries({"clauses": st.lists(clauses(), min_size=1, max_size=3), "serve": serve})
    content = draw(st.lists(rule, max_size=3))
    unit = draw(st.sampled_from(list(Unit)))
    kind: dict[str, Any] = {}
    if typed:
        own, off = draw(st.sampled_from(["", "blue"])), draw(st.sampled_from(["", "none"]))
        kind = {"type": FlagType.STRING, "variants": VARIANTS, "default_variant": own, "off_variant": off}
        salted: Any = st.sampled_from([{}, {"salt": "flag"}, {"salt": "s"}])
        shares: Any = st.tuples(by, salted).map(
            lambda drawn: drawn[0] | drawn[1] | {"rollout": {"blue": 30, "red": 70}}
        )
        kind["default_rollout"] = draw(st.none() | shares.map(default_rollout_of))
    checked = [{**each, "id": f"rule-{place}"} for place, each in enumerate(content)]
    return Definition(
        id=1, key="flag", enabled=draw(st.booleans()),
        threshold=draw(st.sampled_from([0, 40_000, BUCKETS, BUCKETS])) if typed else draw(weight) * 1000,
        salt=draw(st.sampled_from(["flag", "", "salt:"])), unit=unit, level=0 if unit is Unit.ANCESTOR else None,
        whitelist=frozenset(draw(st.lists(st.sampled_from(USERS[1:]), max_size=2))),
        targeting_rules=rules_of(checked if typed else checked_rules(checked)),
        environments=draw(st.dictionaries(st.just("staging"), st.booleans())),
        killed=draw(st.sampled_from([False, False, False, True])), hash_version=draw(st.sampled_from([10, 11])), **kind,
    )  # fmt: skip


@st.composite
def places(draw: Any, *, typed: bool) -> OrganizationContext:
    enabled = draw(st.booleans())
    variant = draw(st.sampled_from([0, 2])) if typed and enabled else 0
    state = StateValue(1, enabled, 1, 5, draw(st.booleans()), variant)
    return OrganizationContext((1, 2), ("acme", "oslo"), draw(st.sampled_from([{}, {1: state}])))


def of_flagd(content: Any, user: str, attributes: dict[str, Any], *, typed: bool) -> Any:
    """What flagd answers: the variant and the value, or "error"."""
    core = FlagdCore()
    core.set_flags(json.dumps(content))
    context = FlagdContext(targeting_key=user or None, attributes=attributes)
    try:
        if typed:
            found: Any = core.resolve_string_value("flag", CODE_DEFAULT, context)
        else:
            found = core.resolve_boolean_value("flag", False, context)
    except GeneralError:
        return "error"
    return found.variant or "", found.value


def of_flagsite(
    definition: Definition, place: OrganizationContext, user: str, environment: str | None, attributes: Any
) -> Any:
    context = EvaluationContext(user or None, environment, attributes)
    try:
        decision = evaluate(definition, place, context, {})
    except TargetingKeyMissing:
        return "error"
    return decision.variant, CODE_DEFAULT if decision.value is None else decision.value


@pytest.mark.parametrize("typed", [False, True])
@given(data=st.data())
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_flagd_answers_as_flagsite_does(typed: bool, data: Any) -> None:
    definition, place = data.draw(definitions(typed=typed)), data.draw(places(typed=typed))
    environment = data.draw(st.sampled_from([None, "staging"]))
    made = of_organization(place, environment, {"flag": definition})
    document = json.loads(json.dumps(made.document))
    assert not list(VALIDATOR.iter_errors(document))
    if made.not_exported:
        assert {each.issue for each in made.not_exported} <= {Issue.BUCKETS, Issue.VALUE}
        return
    for _ in range(4):
        user = data.draw(st.sampled_from(USERS))
        attributes = data.draw(st.dictionaries(st.sampled_from(["plan", "version"]), ANYTHING))
        expected = of_flagsite(definition, place, user, environment, attributes)
        assert of_flagd(document, user, attributes, typed=typed) == expected, (document["flags"], user, attributes)


@pytest.mark.parametrize("enabled", [True, False])
def test_where_an_environment_turns_a_flag_on_only_the_default_rollout_decides(enabled: bool) -> None:
    shares = default_rollout_of({"by": "targetingKey", "rollout": {"blue": 30, "red": 70}})
    definition = Definition(
        id=1, key="flag", type=FlagType.STRING, variants=VARIANTS, default_variant="blue", off_variant="none",
        enabled=enabled, threshold=40_000, unit=Unit.ORGANIZATION, salt="flag", hash_version=11,
        environments={"staging": True}, whitelist=frozenset({"ann"}), default_rollout=shares,
    )  # fmt: skip
    place = OrganizationContext((1, 2), ("acme", "oslo"), {})
    for environment in ("staging", None):
        document = of_organization(place, environment, {"flag": definition}).document
        for user in USERS:
            expected = of_flagsite(definition, place, user, environment, {})
            assert of_flagd(document, user, {}, typed=True) == expected, (environment, user)


def exported(rules: Any, **fields: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    definition = Definition(id=1, key="flag", targeting_rules=rules_of(checked_rules(rules)), **fields)
    place = OrganizationContext((1,), ("acme",), {})
    document = of_organization(place, None, {"flag": definition}).document
    return document["flags"], [(each["flag"], each["code"]) for each in document["notExported"]]


@pytest.mark.parametrize(
    ("clause", "code"),
    [
        ({"attribute": "plan", "op": "matches", "values": ["^p"]}, "regular-expression"),
        ({"attribute": "at", "op": "before", "values": ["2026-01-01T00:00:00Z"]}, "time"),
        ({"attribute": "ip", "op": "inCidr", "values": ["10.0.0.0/8"]}, "network"),
        ({"attribute": "plan", "op": "in", "values": ["pro"], "ignoreCase": True}, "ignore-case"),
        ({"attribute": "company.size", "op": "gt", "values": [5]}, "attribute-name"),
    ],
)
def test_what_flagd_cannot_say_is_left_out_and_named(clause: Any, code: str) -> None:
    assert exported([{"clauses": [clause], "serve": {"variant": "on"}}]) == ({}, [("flag", code)])


def test_a_rollout_of_users_by_another_formula_is_left_out_and_named() -> None:
    assert exported([], enabled=True, threshold=25_000) == ({}, [("flag", "buckets")])
    flags, left_out = exported([], enabled=True, threshold=25_000, hash_version=11, salt="s")
    assert left_out == []
    assert flags["flag"]["targeting"]["if"][1]["if"][1] == {
        "fractional": [{"cat": ["s", {"var": "targetingKey"}]}, ["on", 25_000], ["off", 75_000]]
    }


def test_an_array_and_a_rollout_by_an_attribute_are_left_out_and_named() -> None:
    by_company = {"rollout": {"on": 50, "off": 50}, "by": "company"}
    clause = {"attribute": "plan", "op": "exists"}
    assert exported([{"clauses": [clause], "serve": by_company}]) == ({}, [("flag", "unit")])
    array = {"type": FlagType.OBJECT, "variants": (Variant(1, "all", ["a"]),), "default_variant": "all"}
    assert exported([], enabled=True, **array) == ({}, [("flag", "value")])


@pytest.mark.django_db
def test_the_file_is_that_of_one_organization(cast: Cast, tmp_path: Path) -> None:
    api = Api(_key("reader", Role.READER))
    for key in ("set", "needing", "by-user"):
        service.create(key=key, values={}, by="user:ada")
    service.create(key="gone", values={"archived": True}, by="user:ada")
    service.update(key="by-user", values={"whitelist": ["ada"]}, by="user:ada")
    service.update(key="needing", values={"prerequisites": ["by-user"], "whitelist": ["ada"]}, by="user:ada")
    set_flag(organization_id=cast.oslo.pk, flag_key="set", enabled=True)
    answer = api.get("/v1/organizations/oslo/flagd", environment="production")
    document = answer.json()
    assert document["flags"] == {
        "set": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
        "by-user": {
            "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
            "targeting": {"if": [{"in": [{"var": "targetingKey"}, ["ada"]]}, "on", "off"]},
        },
    }  # fmt: skip
    assert document["metadata"] == {"flagSetId": "oslo"}
    assert [(each["flag"], each["code"]) for each in document["notExported"]] == [("needing", "prerequisite")]
    file = tmp_path / "flagd.json"
    said = run("export_flagd", "oslo", file, "--environment", "production")
    assert json.loads(file.read_text()) == document
    assert "needing is not exported (prerequisite)" in said.out
    assert api.get("/v1/organizations/rival/flagd").json()["flags"]["set"]["defaultVariant"] == "off"
    assert (
        kind_of(Api(_key("b", Role.ADMIN, cast.acme)).get("/v1/organizations/acme/flagd")) == "outside-of-your-subtree"
    )
    assert api.get("/v1/organizations/nobody/flagd").status_code == 404
