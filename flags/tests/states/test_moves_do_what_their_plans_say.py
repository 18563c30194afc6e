"""For random trees, settings and moves, a move does what its plan says: counts and values, flag by flag."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import transaction

from flags.definitions.models import Flag
from flags.errors import FlagLocked, FlagNotLocked
from flags.states.exemptions import exempt_on
from flags.states.models import FlagState
from flags.states.move_planning import MovePlan, of_move
from flags.states.set_flag import find_and_hold, set_flag
from flags.states.setting_rules import Below
from flags.tests.control.planting import plant
from jobs.engine import runner
from orgs.tree import tree_operations
from orgs.tree.models import Organization
from orgs.tree.move_options import MoveOptions

FLAGS = ("f", "g", "h")


def tree(chance: random.Random) -> dict[str, Any]:
    """Two trees of up to fourteen organizations together."""
    nodes: list[dict[str, Any]] = [{}, {}]
    roots = {"n0": nodes[0], "n1": nodes[1]}
    for number in range(2, chance.randrange(4, 15)):
        nodes.append({})
        chance.choice(nodes[:-1])[f"n{number}"] = nodes[-1]
    return roots


def decide_at_random(chance: random.Random, organizations: list[Organization]) -> None:
    """Sets, locks, values that count here only, and exemptions; the jobs run, so that every row is written."""
    for _ in range(chance.randrange(4, 20)):
        organization, flag = chance.choice(organizations), chance.choice(FLAGS)
        below = chance.choice([Below.KEEP, Below.KEEP, Below.LOCK])
        try:
            with transaction.atomic():
                if chance.random() < 0.2:
                    with find_and_hold(organization.pk) as held:
                        exempt_on(held, flag_key=flag, may_lift=lambda _: True)
                else:
                    only_here = below is Below.KEEP and chance.random() < 0.3
                    set_flag(
                        organization_id=organization.pk, flag_key=flag, enabled=chance.random() < 0.6, below=below,
                        only_here=only_here,
                    )  # fmt: skip
        except (FlagLocked, FlagNotLocked):
            pass
    run_jobs()


def run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def values() -> dict[tuple[int, int], bool]:
    """The effective value by organization and flag."""
    defaults = dict(Flag.objects.values_list("pk", "enabled"))
    found = {(each, flag): default for each in _ids() for flag, default in defaults.items()}
    rows = FlagState.objects.filter(enabled__isnull=False).values_list("organization_id", "flag_id", "enabled")
    return found | {(organization, flag): bool(enabled) for organization, flag, enabled in rows}


def _ids() -> list[int]:
    return list(Organization.objects.values_list("pk", flat=True))


def move(chance: random.Random) -> tuple[MovePlan, dict[tuple[int, int], bool], dict[tuple[int, int], bool]]:
    """Plan a random move and make it; return the plan, and the values before and after."""
    plant(tree(chance))
    organizations = list(Organization.objects.order_by("id"))
    for flag in FLAGS:
        Flag.objects.create(key=flag, enabled=chance.random() < 0.5)
    decide_at_random(chance, organizations)
    top = chance.choice(organizations)
    inside = set(Organization.objects.under(top).values_list("pk", flat=True))
    parents = [None, *(each.pk for each in organizations if each.pk not in {*inside, top.parent_id})]
    parent_id, keeps_values = chance.choice(parents), chance.random() < 0.5
    plan = of_move(Organization.objects.get(pk=top.pk).subtree, parent_id, keeps_values=keeps_values)
    before = values()
    tree_operations.move(
        organization_id=top.pk, parent_id=parent_id,
        options=MoveOptions(keeps_values, at_most=plan.changed, plan_hash=plan.hash),
    )  # fmt: skip
    run_jobs()
    return plan, before, values()


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(30))
def test_a_move_changes_what_its_plan_says(seed: int, settings: Any) -> None:
    chance = random.Random(seed)
    settings.FLAGS_INLINE_ROWS = chance.choice([0, 1000])
    plan, before, after = move(chance)
    others = {place for place, value in before.items() if after[place] != value}
    assert len({organization for organization, _ in others}) == plan.changed
    counts = {each.flag.pk: each.effect.changed for each in plan.flags if each.effect.changed}
    assert counts == {flag: sum(place[1] == flag for place in others) for _, flag in others}
    for each in plan.flags:
        for part in each.parts:
            if part.is_itself:
                decided = part.after.enabled
                assert after[part.organization_id, each.flag.pk] == (each.flag.enabled if decided is None else decided)


@pytest.mark.django_db
def test_the_random_moves_have_what_is_to_be_tested() -> None:
    plans = []
    for seed in range(30):
        with transaction.atomic():
            plans.append(move(random.Random(seed))[0])
            transaction.set_rollback(True)
    affected = [each for plan in plans for each in plan.affected]
    assert sum(plan.changed > 0 for plan in plans) > 5
    assert sum(each.kept is not None for each in affected) > 5
    assert sum(bool(each.lock_gained or each.lock_lost) for each in affected) > 5
