"""The rule by which jobs write rows gives the model's values in any order, and the naive rule does not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags.tests.control.model import Refused
from flags.tests.control.writer import FLAG, Row, Rule, Writers

STEPS = ("keep", "keep", "overwrite", "lock", "unlock", "reset", "reset subtree", "here", "move", "create", "delete")
SETS = ("keep", "overwrite")
SEEDS = st.integers(0, 2**32)


def simulate(rule: Rule, seed: int, steps: tuple[str, ...] = STEPS, *, one_after_another: bool = False) -> Writers:
    """Ten organizations, random steps, and jobs that write one row at a time between them, or right after each step."""
    chance = random.Random(seed)
    writers = Writers(rule)
    for each in range(10):
        writers.model.create(each, chance.randrange(each) if each else None)
        writers.rows[each] = Row()
    for _ in range(40):
        if chance.random() < 0.35:
            take(writers, chance.choice(steps), chance)
            if one_after_another:
                writers.finish()
        elif writers.jobs:
            which = chance.randrange(len(writers.jobs))
            writers.write(which, chance.randrange(10))
            if writers.jobs and chance.random() < 0.05:
                writers.begin_again(chance.randrange(len(writers.jobs)))
    writers.finish()
    return writers


def take(writers: Writers, step: str, chance: random.Random) -> None:
    """One step on any organization, unless the rules of the tree refuse it."""
    model = writers.model
    organization, other = chance.choice(list(model.parents)), chance.choice(list(model.parents))
    enabled = chance.random() < 0.5
    below = [each for each in model.subtree(organization) if each != organization and (each, FLAG) in model.settings]
    setting = model.settings.get((organization, FLAG))
    try:
        if step == "create":
            new = max(model.parents) + 1  # type: ignore[type-var]
            model.create(new, organization)
            writers.created(new)
        elif step == "delete":
            if organization != 0 and len(model.parents) > 5:
                model.delete(organization, subtree=True)
        elif step == "move":
            if organization != 0:
                model.move(organization, other)
                writers.accepted(organization)
        elif step == "unlock":
            if setting and setting.kind == "lock":
                model.set(organization, FLAG, setting.value)
                writers.accepted(organization)
        elif step.startswith("reset"):
            model.reset(organization, FLAG, subtree=step == "reset subtree")
            writers.accepted(organization, ended=below if step == "reset subtree" else [])
        else:
            how: dict[str, Any] = {"reach": "here"} if step == "here" else {"below": step}
            model.set(organization, FLAG, enabled, **how)
            is_overwrite = step == "overwrite"
            writers.accepted(organization, keeps=not is_overwrite, ended=below if is_overwrite else [])
    except Refused:
        pass


@given(seed=SEEDS)
@settings(max_examples=300, deadline=None)
def test_values_that_are_computed_from_the_path_are_right_in_any_order(seed: int) -> None:
    writers = simulate("path", seed)
    assert writers.wrong() == {}


@pytest.mark.parametrize("steps", [STEPS, SETS], ids=["all steps", "sets only"])
def test_values_that_a_job_writes_without_looking_at_the_path_go_wrong(steps: tuple[str, ...]) -> None:
    assert any(simulate("blind", seed, steps).wrong() for seed in range(300))


@pytest.mark.parametrize("rule", ["path", "blind"])
def test_both_rules_are_right_if_each_job_ends_before_the_next_step(rule: Rule) -> None:
    """So the control goes wrong because of the order, and not because it cannot set a flag at all."""
    for seed in range(300):
        assert simulate(rule, seed, SETS, one_after_another=True).wrong() == {}
