"""Whatever was set where, explain names the organization that decided, and says of each other why it lost."""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Cast
from flags.definitions import service
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.states.naive import NaiveModel
from jobs.engine import runner

SETS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from(Below)), max_size=6)
"""Which of Acme's organizations is set, one after the other, to what, and what happens below."""


@pytest.mark.django_db
@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(sets=SETS, killed=st.booleans(), default=st.booleans())
def test_the_chain_names_who_decides_and_why_the_others_do_not(
    cast: Cast, sets: list[tuple[int, bool, Below]], killed: bool, default: bool
) -> None:
    with transaction.atomic():
        service.create(key="f", values={"killed": killed, "enabled": default}, by="user:olga")
        naive = naive_of(cast)
        for number, enabled, below in sets:
            if not naive.is_locked_above(cast.of_acme[number].pk, 1):
                put(cast, naive, number, enabled=enabled, below=below)
        for organization in cast.of_acme:
            checked = explain.check(key="f", organization_id=organization.pk, context=EvaluationContext())
            holds = naive.value(organization.pk, 1)
            assert checked.decision.enabled is (not killed and (holds.enabled if holds else default))
            links = explain.explain_path(checked)
            assert [link.id for link in links] == naive.line(organization.pk)[::-1]
            for link in links:
                gives_value = bool(holds and link.id == holds.source)
                assert link.decides is bool(gives_value and not killed), link
                assert ("gives the stored value" in link.why) is gives_value, link
                own = naive.settings.get((link.id, 1))
                assert ("Nobody set it here." in link.why) is (own is None), link
                is_masked = bool(own and own.kind != "none" and holds and holds.locked and not gives_value)
                assert ("does not count below the lock" in link.why) is is_masked, link
                assert ("is nearer" in link.why) is bool(
                    own and own.kind != "none" and holds and not holds.locked and not gives_value
                ), link
        transaction.set_rollback(True)


def naive_of(cast: Cast) -> NaiveModel:
    naive = NaiveModel()
    for organization in cast.of_acme:
        naive.create(organization.pk, organization.parent_id)
    return naive


def put(cast: Cast, naive: NaiveModel, number: int, *, enabled: bool, below: Below) -> None:
    """Set the flag, in the database and in the model."""
    place = cast.of_acme[number]
    accepted = set_flag(organization_id=place.pk, flag_key="f", enabled=enabled, below=below)
    while runner.run_next("propagation") is not None:
        pass
    naive.set(place.pk, 1, enabled=enabled, number=accepted.change.number, below=below, only_here=False)
