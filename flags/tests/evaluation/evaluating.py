"""Random definitions, places and contexts, for the properties that evaluation has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from flags.evaluation.context_loader import StateColumns
from flags.evaluation.engine import Definition, EvaluationContext, OrganizationContext, StateValue, Unit

KEYS = ["a", "b", "c", "d"]
USERS = ["", "ann", "bob", "cleo", "user-17", "ü"]
ENVIRONMENTS = ["production", "staging"]
PERCENT = st.one_of(st.sampled_from([0, 100_000]), st.integers(0, 100_000))


@st.composite
def definitions(draw: st.DrawFn, versions: Sequence[int] = (1,)) -> dict[str, Definition]:
    """Flags by key; a prerequisite is always a key that comes before, or one that does not exist.

    `versions` are those of the hashes of rollouts.
    """
    made: dict[str, Definition] = {}
    for number, key in enumerate(KEYS, 1):
        unit = draw(st.sampled_from(list(Unit)))
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
            prerequisites=tuple(draw(st.lists(st.sampled_from([*made, "gone"]), max_size=2, unique=True))),
            archived=draw(st.integers(0, 9)) == 0,
            killed=draw(st.integers(0, 9)) == 0,
            hash_version=draw(st.sampled_from(versions)),
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
            states[number] = StateValue(
                number, draw(st.booleans()), draw(st.sampled_from(ids)), draw(st.integers(1, 99))
            )
    return OrganizationContext(ids, tuple(f"org-{one}" for one in ids), states)


contexts = st.builds(
    EvaluationContext,
    targeting_key=st.sampled_from(USERS).map(lambda user: user or None),
    environment=st.sampled_from([None, *ENVIRONMENTS, "elsewhere"]),
)


def columns_of(states: Iterable[StateValue]) -> StateColumns:
    """The same, column by column, as the database gives them."""
    rows = sorted(states, key=lambda state: state.flag_id)
    return (
        tuple(row.flag_id for row in rows),
        tuple(row.enabled for row in rows),
        tuple(row.source_id for row in rows),
        tuple(row.number for row in rows),
    )
