"""Random definitions, places and contexts, for the properties that evaluation has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from flags.evaluation.context_loader import StateColumns
from flags.evaluation.engine import Definition, EvaluationContext, OrganizationContext, StateValue
from flags.evaluation.reasons import Unit
from flags.evaluation.wants import Want
from flags.serving.held_attributes import InternedAttributes
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.packed_states import InternedStates
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import Clause, EvaluatedSegment, SegmentRule, TargetingRule
from flags.targeting.segments import Segments
from flags.targeting.weights import first_ranges
from flags.values.types import FlagType
from flags.values.variants import Variant

KEYS = ["a", "b", "c", "d"]
USERS = ["", "ann", "bob", "cleo", "user-17", "ü"]
ENVIRONMENTS = ["production", "staging"]
PERCENT = st.one_of(st.sampled_from([0, 100_000]), st.integers(0, 100_000))


ATTRIBUTES: dict[str, list[Any]] = {
    "plan": ["pro", "free", 1, True, None, ["free", "pro"], "1"],
    "age": [17, 18, 18.5, "18", True],
    "app": ["1.4.2", "v2", "2.0.0-rc.1", "x", 2],
    "company": [{"size": 5}, {"size": None}, "acme", {}],
    "org": [{"plan": "pro", "seats": 99}, "org"],
    "org.plan": ["pro"],
}
OF_ORGANIZATIONS: dict[str, list[Any]] = {
    "plan": ["pro", "free", 1, True, ["free", "pro"]],
    "seats": [3, 18, 18.5, "18"],
}
"""The attributes that an organization may have."""
CLAUSES: list[tuple[str, str, list[Any]]] = [
    ("plan", "in", ["pro", 1, True]), ("plan", "contains", ["R"]), ("plan", "exists", []), ("age", "gte", [18]),
    ("age", "lt", [3, 18]), ("app", "semverLt", ["2.0.0"]), ("company.size", "gt", [1]),
    ("targetingKey", "in", ["ann"]), ("org.plan", "in", ["pro", 1, True]), ("org.plan", "exists", []),
    ("org.seats", "gte", [18]), ("org.plan.name", "exists", []), ("org.nothing", "exists", []),
    ("", "inSubtree", ["org-10", "org-11"]), ("", "inSubtree", ["elsewhere"]), ("", "level", [0, 2]),
    ("plan", "of a later version", ["pro"]),
]  # fmt: skip
UNITS = ["targetingKey", "organization", "ancestor", "plan", "nowhere", "org.plan", "org.seats"]
SEGMENTS = ["s1", "s2", "s3"]
IN_SEGMENTS: list[tuple[str, str, list[Any]]] = [("", "inSegment", [key]) for key in [*SEGMENTS, "gone"]] + [
    ("", "inSegment", ["gone", "s1", "s2"])
]


@st.composite
def segments(draw: st.DrawFn) -> Segments:
    """Segments; each may name those that come before, or one that does not exist."""
    made: dict[str, EvaluatedSegment] = {}
    for key in SEGMENTS:
        nested = [clause for clause in IN_SEGMENTS if set(clause[2]) <= {*made, "gone"}]
        rules = draw(st.lists(st.lists(clauses([*CLAUSES, *nested]), min_size=1, max_size=2), max_size=2))
        made[key] = EvaluatedSegment(
            key,
            "1-1",
            included=tuple(draw(st.lists(st.sampled_from(USERS[1:]), max_size=1))),
            excluded=tuple(draw(st.lists(st.sampled_from(USERS[1:]), max_size=2))),
            rules=tuple(SegmentRule(f"rule-{number}", tuple(rule)) for number, rule in enumerate(rules, 1)),
        )
    return Segments(made)


def clauses(listed: Sequence[tuple[str, str, list[Any]]] = (*CLAUSES, *IN_SEGMENTS)) -> st.SearchStrategy[Clause]:
    """Some of the clauses, negated or not."""
    return st.builds(
        lambda clause, negate: Clause(
            clause[0], clause[1], tuple(clause[2]), negate=negate, ignore_case=clause[1] == "contains"
        ),
        st.sampled_from(listed),
        st.booleans(),
    )


VALUES: dict[FlagType, list[Any]] = {
    FlagType.BOOLEAN: [],
    FlagType.STRING: ["", "ü", '"'],
    FlagType.INTEGER: [0, -5, 2**53 - 1],
    FlagType.FLOAT: [0, 0.5, 1e22],
    FlagType.OBJECT: [{}, {"a": [1, 1.0, None]}, [{"b": "c"}]],
}
"""The values of the variants v1, v2 and v3 of flags of each type."""
FIRST, SECOND, THIRD = "v1", "v2", "v3"
VARIANTS = [FIRST, SECOND, THIRD, "gone"]
CUSTOM = {1001: "own", 1002: 7, 1003: 0.25, 1004: {"own": []}, 1005: None}
"""Custom values by their numbers. The last one cannot be found."""


@st.composite
def targeting_rules(draw: st.DrawFn) -> TargetingRule:
    """A rule with some clauses; some operators are unknown here, and some units of rollouts are missing."""
    own = tuple(draw(st.lists(clauses(), min_size=1, max_size=2)))
    rule_id = f"rule-{draw(st.integers(1, 9))}"
    if draw(st.booleans()):
        return TargetingRule(rule_id, own, draw(st.booleans()), variant=draw(st.sampled_from(VARIANTS)))
    return TargetingRule(rule_id, own, None, draw(rollouts(VARIANTS[:3])))


@st.composite
def rollouts(draw: st.DrawFn, keys: Sequence[str], units: Sequence[str] = UNITS) -> RuleRollout:
    """A rollout by weight of three variants, of one of the units."""
    by = draw(st.sampled_from(units))
    level = draw(st.integers(0, 4)) if by == "ancestor" else None
    first, second = sorted((draw(PERCENT), draw(PERCENT)))
    sizes = dict(zip(keys, (first, second - first, 100_000 - second), strict=True))
    salt, version = draw(st.sampled_from([None, "other"])), draw(st.sampled_from([None, None, 4, 99]))
    return RuleRollout(draw(PERCENT), by, level, first_ranges(sizes), salt, version)


wants = st.sampled_from(
    [Want(is_off=True), Want(variant=FIRST), Want(variant=SECOND), Want(variant="on"), Want(variant="off")]
)


def definitions(versions: Sequence[int] = (1,)) -> st.SearchStrategy[dict[str, Definition]]:
    """Flags by key; a prerequisite is always a key that comes before, or one that does not exist.

    `versions` are those of the hashes of rollouts.
    """
    return _any_definitions(versions) | _split_definitions(versions)


@st.composite
def _split_definitions(draw: st.DrawFn, versions: Sequence[int]) -> dict[str, Definition]:
    """The same, where little comes before the default rollout of a flag, so that it often chooses."""
    found = draw(_any_definitions(versions))
    shares = rollouts(VARIANTS[1:], ["targetingKey", "organization", "targetingKey", "ancestor", "org.plan", "plan"])
    return {
        key: each if each.type == FlagType.BOOLEAN else replace(
            each, id=each.id + draw(st.sampled_from([0, len(KEYS), len(KEYS)])),  # no organization has set a higher one
            enabled=True, threshold=draw(st.sampled_from([50_000, 100_000, 100_000])), archived=False, killed=False,
            environments=dict.fromkeys(each.environments, True), default_rollout=draw(shares),
            targeting_rules=each.targeting_rules if draw(st.booleans()) else (),
            prerequisites=each.prerequisites if draw(st.booleans()) else (),
        )
        for key, each in found.items()
    }  # fmt: skip


@st.composite
def _any_definitions(draw: st.DrawFn, versions: Sequence[int]) -> dict[str, Definition]:
    made: dict[str, Definition] = {}
    known = draw(segments())
    for number, key in enumerate(KEYS, 1):
        unit = draw(st.sampled_from(list(Unit)))
        flag_type = draw(st.sampled_from([FlagType.BOOLEAN, *FlagType]))
        named = flag_type != FlagType.BOOLEAN
        prerequisites = draw(st.lists(st.sampled_from([*made, "gone"]), max_size=2, unique=True))
        made[key] = Definition(
            id=number,
            key=key,
            enabled=draw(st.booleans()),
            threshold=draw(PERCENT),
            salt=draw(st.sampled_from(["", "salt"])),
            unit=unit,
            level=draw(st.integers(0, 4)) if unit == Unit.ANCESTOR else None,
            whitelist=frozenset(draw(st.lists(st.sampled_from(USERS[1:]), max_size=2))),
            environments=draw(st.dictionaries(st.sampled_from(ENVIRONMENTS), st.booleans(), max_size=1)),
            prerequisites=tuple(prerequisites),
            wants={needed: draw(wants) for needed in prerequisites if draw(st.booleans())},
            targeting_rules=known.resolved(draw(st.lists(targeting_rules(), max_size=3))),
            archived=draw(st.integers(0, 9)) == 0,
            killed=draw(st.integers(0, 9)) == 0,
            hash_version=draw(st.sampled_from(versions)),
            type=flag_type,
            variants=tuple(Variant(place, f"v{place}", value) for place, value in enumerate(VALUES[flag_type], 1)),
            default_variant=draw(st.sampled_from(["", FIRST, THIRD])) if named else "",
            off_variant=draw(st.sampled_from(["", SECOND])) if named else "",
            default_rollout=draw(st.none() | rollouts(VARIANTS[1:])) if named else None,
        )
    return made


@st.composite
def places(draw: st.DrawFn) -> OrganizationContext:
    """An organization somewhere in a tree, or nowhere, with states that come from itself or from above."""
    depth = draw(st.integers(0, 4))
    ids = tuple(range(10, 10 + depth))
    states = {}
    for number in range(1, len(KEYS) + 1) if ids else ():
        if draw(st.booleans()):
            variant = draw(st.sampled_from([0, 0, 1, 2, 3, 9, *CUSTOM]))
            states[number] = StateValue(
                number,
                draw(st.booleans()) or variant != 0,
                draw(st.sampled_from(ids)),
                draw(st.integers(1, 99)),
                draw(st.booleans()),
                variant,
                CUSTOM.get(variant),
            )
    held = {name: st.sampled_from(values) for name, values in OF_ORGANIZATIONS.items()}
    attributes = draw(st.fixed_dictionaries({}, optional=held)) if ids else {}
    return OrganizationContext(ids, tuple(f"org-{one}" for one in ids), states, attributes)


def snapshot_of(place: OrganizationContext) -> OrganizationSnapshot:
    """The same as the evaluation cache keeps it."""
    custom = {state.variant: state.custom for state in place.states.values() if state.custom is not None}
    states = InternedStates().of(columns_of(place.states.values()), custom)
    attributes = InternedAttributes().of(place.attributes)
    return OrganizationSnapshot(place.ids, place.keys, states, 0, attributes=attributes)


contexts = st.builds(
    EvaluationContext,
    targeting_key=st.sampled_from(USERS).map(lambda user: user or None),
    environment=st.sampled_from([None, *ENVIRONMENTS, "elsewhere"]),
    attributes=st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in ATTRIBUTES.items()}),
)


def columns_of(states: Iterable[StateValue]) -> StateColumns:
    """The same, column by column, as the database gives them."""
    rows = sorted(states, key=lambda state: state.flag_id)
    return (
        tuple(row.flag_id for row in rows),
        tuple(row.enabled + 2 * row.locked + 4 * row.variant for row in rows),
        tuple(row.source_id for row in rows),
        tuple(row.number for row in rows),
    )
