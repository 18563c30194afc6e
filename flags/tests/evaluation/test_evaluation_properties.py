"""What holds for every evaluation, whatever the flags and the tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.errors import TargetingKeyMissing, UnknownHashVersion
from flags.evaluation import rollout
from flags.evaluation.engine import BUCKETS, Decision, Definition, EvaluationContext, OrganizationContext, evaluate
from flags.evaluation.hashes import HASHES
from flags.evaluation.reasons import Rule
from flags.evaluation.rollout import bucketing
from flags.serving.bulk_evaluation import BulkEvaluation
from flags.serving.compiled_flag import CompiledFlag
from flags.serving.compiled_rules import FixedRules, PrerequisiteRules
from flags.serving.compiled_targeting import indexed
from flags.serving.definition_set import DefinitionSet
from flags.serving.organization_snapshot import NO_ORGANIZATION, OrganizationSnapshot
from flags.serving.resolution import FailedResolution
from flags.targeting.attributes import NO_ATTRIBUTES, Attributes
from flags.tests.evaluation.evaluating import KEYS, contexts, definitions, places, snapshot_of
from flags.tests.states.plain_reading import Untold, serves, verdicts
from flags.values.types import FlagType
from flagsite.core.errors import FlagsiteError

PYTHON_TYPES: dict[FlagType, tuple[type, ...]] = {
    FlagType.BOOLEAN: (bool,),
    FlagType.STRING: (str, type(None)),
    FlagType.INTEGER: (int, type(None)),
    FlagType.FLOAT: (float, type(None)),
    FlagType.OBJECT: (dict, list, type(None)),
}
"""What JSON of each type is read as. Without a value, it is None."""
ALL_AND_A_LATER_ONE = (*HASHES, 99)
"""Versions of hashes, of which nobody knows the last one yet."""


def outcome(
    definition: Definition, place: OrganizationContext, context: EvaluationContext, flags: dict[str, Definition]
) -> Decision | FlagsiteError:
    """The decision, or the error."""
    try:
        return evaluate(definition, place, context, flags)
    except (TargetingKeyMissing, UnknownHashVersion) as error:
        return error


def entries(
    bulk: BulkEvaluation, snapshot: OrganizationSnapshot, user: str, attributes: Attributes = NO_ATTRIBUTES
) -> list[dict[str, Any]]:
    """The flags of a bulk answer."""
    return [orjson.loads(entry) for entry in bulk.entries(snapshot, user, user.encode(), attributes)]


@given(definitions(ALL_AND_A_LATER_ONE), places(), contexts)
def test_answers_made_ready_say_what_evaluate_says(
    flags: dict[str, Definition], place: OrganizationContext, context: EvaluationContext
) -> None:
    snapshot = snapshot_of(place)
    environments = frozenset(name for one in flags.values() for name in one.environments)
    compiled = DefinitionSet(flags, b"", environments).compiled_flags(snapshot.states, context.environment or "")
    user = context.targeting_key or ""
    bulk = {entry["key"]: entry for entry in entries(compiled.bulk, snapshot, user, context.attributes)}
    assert list(bulk) == KEYS
    for key, definition in flags.items():
        right = outcome(definition, place, context, flags)
        given_ = compiled[key].decide(snapshot, user, user.encode(), context.attributes)
        assert orjson.loads(given_.json) == bulk[key]
        if isinstance(right, FlagsiteError):
            assert isinstance(given_, FailedResolution)
            assert (given_.error, given_.why, bulk[key]["errorDetails"]) == (type(right), str(right), str(right))
        else:
            assert (given_.enabled, given_.rule) == (right.enabled, right.rule)
            assert (given_.variant, given_.value, given_.reason) == (right.variant, right.value, right.reason)
            assert (bulk[key]["variant"], bulk[key].get("value")) == (right.variant, right.value)
            assert ("value" in bulk[key], bulk[key]["reason"]) == (right.value is not None, right.reason)
            assert type(bulk[key].get("value")) in PYTHON_TYPES[definition.type]
            assert bulk[key]["metadata"].get("ruleId", "") == right.rule_id


def needing(levels: int, width: int) -> dict[str, Definition]:
    """So many levels of flags, each of which needs all of the level below; the first flag of the last is the top."""
    flags: dict[str, Definition] = {}
    for level in range(levels):
        below = tuple(f"{level - 1:03}-{number}" for number in range(width)) if level else ()
        for number in range(width):
            key = f"{level:03}-{number}"
            flags[key] = Definition(len(flags) + 1, key, enabled=True, prerequisites=below, threshold=99_999)
    return flags


def test_prerequisites_that_meet_again_and_again_are_decided_once() -> None:
    """Two flags a level would be 2 to the 20 ways."""
    flags = needing(21, 2)
    compiled = DefinitionSet(flags, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "")
    top = compiled["020-0"]
    assert isinstance(top, PrerequisiteRules)
    assert len(top.prerequisites) == 40
    assert top.decide(NO_ORGANIZATION, "u", b"u").enabled
    assert evaluate(flags["020-0"], NO_ORGANIZATION.context, EvaluationContext("u"), flags).enabled
    assert top.decide(NO_ORGANIZATION, "", b"").error is TargetingKeyMissing
    assert isinstance(outcome(flags["020-0"], NO_ORGANIZATION.context, EvaluationContext(), flags), TargetingKeyMissing)


def test_prerequisites_that_are_the_same_for_everybody_cost_an_evaluation_nothing() -> None:
    on, off = Definition(1, "on", enabled=True), Definition(2, "off")
    half = Definition(3, "half", enabled=True, threshold=50_000)
    flags = {
        "after-off": Definition(4, "after-off", enabled=True, prerequisites=("half", "off")),
        "after-on": Definition(5, "after-on", enabled=True, prerequisites=("on",)),
        **{one.key: one for one in (half, off, on)},
    }
    compiled = DefinitionSet(flags, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "")
    decided = [(compiled[key], compiled[key].decide(NO_ORGANIZATION, "", b"")) for key in ("after-off", "after-on")]
    assert [(type(rules), one.enabled, one.rule) for rules, one in decided] == [
        (FixedRules, False, Rule.PREREQUISITE),
        (FixedRules, True, Rule.DEFAULT),
    ]


def test_a_chain_that_is_longer_than_allowed_spoils_no_other_flag() -> None:
    """As it may have come into the database before there was a limit."""
    flags = {**needing(600, 1), "other": Definition(9999, "other", enabled=True)}
    compiled = DefinitionSet(flags, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "")
    assert [entry["value"] for entry in entries(compiled.bulk, NO_ORGANIZATION, "u")] == [True] * 601


@given(definitions(ALL_AND_A_LATER_ONE), places(), contexts)
def test_each_step_and_the_outcome_are_those_of_the_documented_order(
    flags: dict[str, Definition], place: OrganizationContext, context: EvaluationContext
) -> None:
    for definition in flags.values():
        decision = outcome(definition, place, context, flags)
        try:
            right = verdicts(definition, place, context, flags)
            expected = serves(definition, place, context, right[-1][0], enabled=bool(right[-1][1]))
        except Untold:
            assert isinstance(decision, FlagsiteError)
            continue
        assert isinstance(decision, Decision)
        deciding = [step for step in decision.steps if step.rule is not Rule.DEFAULT_ROLLOUT]
        assert [(step.rule, step.enabled) for step in deciding] == right
        assert (decision.rule, decision.enabled) == right[-1]
        assert (decision.variant, decision.value) == expected


def test_the_stored_hash_version_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {1: 2**32 - 1, 2: 0, 3: 2**31}
    made = {
        each: dataclasses.replace(HASHES[1], bound=lambda _, one=one: lambda _: one) for each, one in numbers.items()
    }
    monkeypatch.setattr(rollout, "HASHES", made)
    counted = {
        f"v{version}": Definition(version, f"v{version}", enabled=True, threshold=50_000, hash_version=version)
        for version in (1, 2, 3)
    }
    asked = [
        evaluate(one, NO_ORGANIZATION.context, EvaluationContext("u"), counted).enabled for one in counted.values()
    ]
    bulk = DefinitionSet(counted, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "").bulk
    assert asked == [entry["value"] for entry in entries(bulk, NO_ORGANIZATION, "u")] == [False, True, False]


def test_a_hash_version_that_is_not_known_is_an_error_and_no_guess() -> None:
    later = Definition(1, "later", enabled=True, threshold=50_000, hash_version=99)
    for user in ("u", ""):
        with pytest.raises(UnknownHashVersion, match="Hash version 99 is unknown"):
            evaluate(later, NO_ORGANIZATION.context, EvaluationContext(user), {})
        bulk = DefinitionSet({"later": later}, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "").bulk
        assert entries(bulk, NO_ORGANIZATION, user) == [
            {
                "key": "later",
                "errorCode": "GENERAL",
                "errorDetails": f"Hash version 99 is unknown. The known versions are: {', '.join(map(str, HASHES))}.",
            }
        ]


@given(definitions(), places(), contexts, st.sampled_from(["archived", "killed"]))
def test_nothing_beats_archived_and_killed(
    flags: dict[str, Definition], place: OrganizationContext, context: EvaluationContext, how: str
) -> None:
    for definition in flags.values():
        stopped = dataclasses.replace(definition, **{how: True})
        assert evaluate(stopped, place, context, flags).enabled is False


@given(definitions(), places(), contexts, st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_a_higher_percentage_switches_nobody_off(
    flags: dict[str, Definition], place: OrganizationContext, context: EvaluationContext, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    for definition in flags.values():
        before = outcome(dataclasses.replace(definition, threshold=low), place, context, flags)
        after = outcome(dataclasses.replace(definition, threshold=high), place, context, flags)
        if isinstance(before, Decision) and isinstance(after, Decision):
            assert after.enabled >= before.enabled


@pytest.mark.slow
def test_fifty_flags_pick_their_users_independently() -> None:
    """100,000 ids at 10 %: each flag takes 10 %, and of each other flag's users 10 %, within five deviations."""
    units = [f"user-{number}".encode() for number in range(100_000)]
    taken = []
    for number in range(50):
        counted = bucketing("", f"flag-{number}")
        taken.append({unit for unit in units if counted.bucket(unit) < BUCKETS // 10})
    assert all(abs(len(users) - 10_000) < 5 * 95 for users in taken)  # 95: the deviation of such a share
    both = [len(one & other) for place, one in enumerate(taken) for other in taken[:place]]
    assert max(both) < 1000 + 5 * 31.5
    assert min(both) > 1000 - 5 * 31.5


@pytest.mark.parametrize("level", [None, 0, 1, 7])
def test_a_family_switches_together(level: int | None) -> None:
    """Counted by an ancestor, all below it are on or off alike; one above the level counts for itself."""
    unit = "organization" if level is None else "ancestor"
    definition = Definition(1, "family", enabled=True, threshold=50_000, unit=unit, level=level)
    flags = {"family": definition}
    seen: dict[str, set[bool]] = {}
    for region in range(40):
        for store in range(5):
            keys = ("root", f"region-{region}", f"store-{region}-{store}")
            place = OrganizationContext((1, 2, 3), keys)
            unit_key = keys[-1] if level is None else keys[min(level, 2)]
            seen.setdefault(unit_key, set()).add(
                evaluate(definition, place, EvaluationContext("somebody"), flags).enabled
            )
    assert all(len(values) == 1 for values in seen.values())
    if level != 0:
        assert {value for values in seen.values() for value in values} == {True, False}


@given(st.lists(definitions(), min_size=1, max_size=3), places(), contexts)
def test_the_flags_of_several_indexes_answer_as_each_flag_alone(
    made: list[dict[str, Definition]], place: OrganizationContext, context: EvaluationContext
) -> None:
    flags = {
        f"{key}-{number}": dataclasses.replace(one, key=f"{key}-{number}", prerequisites=(), wants={})
        for number, each in enumerate(made)
        for key, one in each.items()
    }
    snapshot, user = snapshot_of(place), context.targeting_key or ""
    compiled = DefinitionSet(flags, b"", frozenset()).compiled_flags(snapshot.states, "")
    targeting = [(at, CompiledFlag(one, "", 9).targeting) for at, one in enumerate(flags.values())]
    for rules_of_an_index in (1, 2, 99):
        bulk = BulkEvaluation([compiled[key] for key in flags], indexed(targeting, rules_of_an_index))
        alone = [compiled[key].decide(snapshot, user, user.encode(), context.attributes) for key in flags]
        assert entries(bulk, snapshot, user, context.attributes) == [orjson.loads(one.json) for one in alone]
