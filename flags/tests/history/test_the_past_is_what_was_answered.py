"""Whatever was done to tree, settings and definitions: history tells of each moment what was answered then."""

from __future__ import annotations

import random

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from flags.history.moments import Moment, find_moment
from flags.tests.history.deeds import EVERYBODY, answers_then, live
from orgs.errors import OrganizationNotFound
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]
DEEDS = 25


def check_moment(moment: Moment, expected: dict[int, dict[int, tuple[object, ...]]]) -> None:
    for organization_id in Organization.objects.values_list("pk", flat=True):
        if organization_id in expected:
            assert answers_then(organization_id, moment) == expected[organization_id], (organization_id, moment)
        else:
            with pytest.raises(OrganizationNotFound):
                answers_then(organization_id, moment)


def check_all(seed: int, deeds: int) -> None:
    with transaction.atomic():
        past = live(seed, deeds)
        for moment, expected in past.answers:
            if moment.number is not None:
                by_number = find_moment(EVERYBODY, str(moment.number))
                assert by_number.at <= moment.at
                check_moment(by_number, expected)
            check_moment(find_moment(EVERYBODY, str(moment)), expected)
        transaction.set_rollback(True)


@pytest.mark.parametrize("seed", range(3))
def test_a_few_deeds(seed: int) -> None:
    check_all(seed, 6)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_many_deeds(seed: int) -> None:
    check_all(seed, random.Random(seed).randrange(5, DEEDS))
