"""Whatever was set where, explain names the organization that decided, and says of each other why it lost."""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions import service
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext, Rule
from flags.states.set_flag import set_flag
from flags.tests.states.naive import Holds, NaiveModel
from jobs.engine import runner

SETS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6)
"""Which of Acme's organizations is set, one after the other, and to what."""


@pytest.mark.django_db
@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(sets=SETS, killed=st.booleans(), default=st.booleans())
def test_the_chain_names_who_decides_and_why_the_others_do_not(
    cast: Cast, sets: list[tuple[int, bool]], killed: bool, default: bool
) -> None:
    with transaction.atomic():
        service.create(key="f", values={"killed": killed, "enabled": default}, by="user:olga")
        naive = naive_of(cast)
        for number, enabled in sets:
            put(cast, naive, number, enabled=enabled)
        for organization in cast.of_acme:
            checked = explain.check(key="f", organization_id=organization.pk, context=EvaluationContext())
            holds = naive.values[organization.pk].get(1)
            assert checked.decision.enabled is (not killed and (holds.enabled if holds else default))
            links = explain.explain_path(checked)
            assert [link.id for link in links] == naive.line(organization.pk)[::-1]
            for link in links:
                assert link.decides is bool(holds and link.id == holds.source and not killed), link
                here = naive.values[link.id].get(1)
                assert link.why == why(organization.pk, holds, here, last_on(naive, link.id), killed=killed)
        transaction.set_rollback(True)


def naive_of(cast: Cast) -> NaiveModel:
    naive = NaiveModel()
    for organization in cast.of_acme:
        naive.create(organization.pk, organization.parent_id)
    return naive


def put(cast: Cast, naive: NaiveModel, number: int, *, enabled: bool) -> None:
    """Set the flag, in the database and in the model; flag 0 of the model is what was set on the place itself."""
    place = cast.of_acme[number]
    accepted = set_flag(organization_id=place.pk, flag_key="f", enabled=enabled)
    while runner.run_next("propagation") is not None:
        pass
    naive.set(place.pk, 1, enabled=enabled, number=accepted.change.number)
    naive.values[place.pk][0] = Holds(enabled, place.pk, accepted.change.number)


def last_on(naive: NaiveModel, organization_id: int) -> Holds | None:
    return naive.values[organization_id].get(0)


def why(asked: int, holds: Holds | None, here: Holds | None, own: Holds | None, *, killed: bool) -> str:
    """In words, by the model: the change that `holds` for the organization that is asked for, and the one `here`."""
    if own is None:
        return "Nobody set it here."
    assert holds is not None
    assert here is not None
    if own.number == holds.number:
        words = f"Its change {own.number} gives the stored value: {_word(own)}."
        return f"{words} But the rule {Rule.KILLED} decides before organizations are asked." if killed else words
    if own.number == here.number:
        words = f"Its change {own.number} holds here: {_word(own)}."
    else:
        words = (
            f"The later change {here.number} on the organization {here.source} holds here: {_word(here)}. "
            f"Its own change {own.number}, to {_word(own)}, was before."
        )
    if here.number == holds.number:
        return words
    later = f"the later change {holds.number} on the organization {holds.source}"
    return f"{words} For the organization {asked}, {later} holds: {_word(holds)}."


def _word(value: Holds) -> str:
    return "on" if value.enabled else "off"
