"""The functions that production uses decide as the pure model does, for every organization of any tree."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flags.states.effects import DefaultValue, changed_from, effect_of, parts_of, without
from flags.states.setting_rules import LOCK, NONE, SET, DecidedValue, PlacedSetting, decide, pieces_of
from flags.tests.control.model import Model, Refused

FLAG = 1


def grown(chance: random.Random) -> Model:
    """A tree of up to twelve organizations, after random steps."""
    model = Model()
    for each in range(chance.randrange(1, 13)):
        model.create(each, chance.randrange(each) if each else None)
    for _ in range(chance.randrange(16)):
        organization = chance.randrange(len(model.parents))
        enabled = chance.random() < 0.5
        how: dict[str, Any] = chance.choice(
            [{"below": "keep"}, {"below": "lock"}, {"below": "lock"}, {"reach": "here"}]
        )
        try:
            if chance.random() < 0.25:
                model.exempt(organization, FLAG)
            elif chance.random() < 0.1:
                model.reset(organization, FLAG)
            else:
                model.set(organization, FLAG, enabled, **how)
        except Refused:
            pass
        _lock_from_below(model, chance)
    return model


def _lock_from_below(model: Model, chance: random.Random) -> None:
    """Moves bring locks below locks that nobody could set there."""
    organization, parent = (chance.randrange(len(model.parents)) for _ in range(2))
    if organization and chance.random() < 0.3 and organization not in model.path(parent):
        model.move(organization, parent)


def places(model: Model, chance: random.Random) -> dict[Any, tuple[int, int]]:
    """The numbers of a nested set, with gaps."""
    found: dict[Any, tuple[int, int]] = {}
    last = 0

    def place(organization: Any) -> None:
        nonlocal last
        last += chance.randrange(1, 4)
        start = last
        for each, parent in model.parents.items():
            if parent == organization:
                place(each)
        last += chance.randrange(1, 4)
        found[organization] = (start, last)

    place(0)
    return found


def rows(model: Model, numbers: dict[Any, tuple[int, int]]) -> dict[Any, PlacedSetting]:
    """The settings and exemptions of the model as production stores them; some organizations have ended ones."""
    return {
        each: PlacedSetting(
            FLAG, each, *_decision(model, each), source_id=each, number=each * 7 % 5, start=start, end=end,
            size=len(model.subtree(each)),
            exempt_from_id=model.exemptions.get((each, FLAG)),
            only_here=(each, FLAG) in model.settings and model.settings[each, FLAG].reach == "here",
        )
        for each, (start, end) in numbers.items()
        if (each, FLAG) in model.settings or (each, FLAG) in model.exemptions or each % 4 == 3
    }  # fmt: skip


def _decision(model: Model, organization: Any) -> tuple[str, bool | None]:
    setting = model.settings.get((organization, FLAG))
    return (LOCK if setting.kind == "lock" else SET, setting.value) if setting else (NONE, None)


def expected(model: Model, stored: dict[Any, PlacedSetting], organization: Any) -> DecidedValue:
    """What the model says, with the highest number of the path."""
    answer = model.answer(organization, FLAG)
    number = max((stored[each].number for each in model.path(organization) if each in stored), default=0)
    source: Any = answer.source
    return DecidedValue(FLAG, answer.value, source, number, locked=answer.reason == "lock")


def on_path(model: Model, stored: dict[Any, PlacedSetting], organization: Any) -> list[PlacedSetting]:
    return [stored[each] for each in model.path(organization) if each in stored]


def seen() -> Iterator[random.Random]:
    """Chances of whose trees the tests below must have seen some with each kind of decision."""
    return (random.Random(seed) for seed in range(200))


def test_the_trees_have_what_is_to_be_tested() -> None:
    models = [grown(chance) for chance in seen()]
    assert sum(bool(model.exemptions) for model in models) > 20
    assert sum(model.masked(each, FLAG) > 0 for model in models for each in model.parents) > 20
    assert sum(setting.reach == "here" for model in models for setting in model.settings.values()) > 20


@given(seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_the_settings_of_a_path_decide_as_the_model_does(seed: int) -> None:
    chance = random.Random(seed)
    model = grown(chance)
    stored = rows(model, places(model, chance))
    for each in model.parents:
        assert decide(FLAG, on_path(model, stored, each), each) == expected(model, stored, each)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_the_pieces_of_a_subtree_have_what_the_model_gives_each_organization(seed: int) -> None:
    chance = random.Random(seed)
    model = grown(chance)
    numbers = places(model, chance)
    stored = rows(model, numbers)
    top: Any = chance.choice(list(model.parents))
    below = sorted((stored[each] for each in model.subtree(top) if each != top and each in stored), key=_start)
    pieces = pieces_of(FLAG, on_path(model, stored, top), below, top_id=top, start=numbers[top][0])
    starts = [piece.start for piece in pieces]
    assert starts == sorted(set(starts))
    for each in model.subtree(top):
        piece = pieces[bisect_right(starts, numbers[each][0]) - 1]
        assert piece.value == expected(model, stored, each)


@given(seed=st.integers(0, 2**32), default=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_effect_of_a_set_counts_what_the_model_changes(seed: int, default: bool) -> None:
    chance = random.Random(seed)
    model = grown(chance)
    numbers = places(model, chance)
    before = rows(model, numbers)
    top: Any = chance.choice(list(model.parents))
    below: Any = chance.choice(["keep", "overwrite", "lock"])
    was = _values(model, default)
    try:
        model.set(top, FLAG, chance.random() < 0.5, below=below)
    except Refused:
        return
    after = rows(model, numbers)
    old = sorted((before[each] for each in model.subtree(top) if each != top and each in before), key=_start)
    new = [after.get(each.organization_id, without(each)) for each in old]
    size = len(model.subtree(top))
    parts = list(
        parts_of(FLAG, (on_path(model, before, top), old), (on_path(model, after, top), new), top_id=top, size=size)
    )
    effect = effect_of(parts, default=DefaultValue(default), ended=0)
    set_below = [each for each in model.subtree(top) if each != top and (each, FLAG) in model.settings]
    sources = {each: model.answer(each, FLAG).source for each in set_below}
    assert effect.organizations == size
    assert effect.changed == sum(was[each] != value for each, value in _values(model, default).items())
    assert effect.locked == sum(model.answer(each, FLAG).reason == "lock" for each in model.subtree(top))
    assert effect.own == sum(source == each for each, source in sources.items())
    assert effect.masked == sum(source != each for each, source in sources.items())


@given(seed=st.integers(0, 2**32), default=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_pieces_before_and_after_tell_which_organizations_change(seed: int, default: bool) -> None:
    chance = random.Random(seed)
    model = grown(chance)
    numbers = places(model, chance)
    top: Any = chance.choice(list(model.parents))
    before, was = rows(model, numbers), _values(model, default)
    try:
        model.set(top, FLAG, chance.random() < 0.5, below=chance.choice(["keep", "overwrite", "lock"]))
    except Refused:
        return
    after, now = rows(model, numbers), _values(model, default)
    pieces = [
        pieces_of(
            FLAG, on_path(model, stored, top),
            sorted((stored[each] for each in model.subtree(top) if each != top and each in stored), key=_start),
            top_id=top, start=numbers[top][0],
        )
        for stored in (before, after)
    ]  # fmt: skip
    changes = changed_from(*pieces, default=DefaultValue(default))
    starts = [start for start, _ in changes]
    assert starts == sorted(set(starts))
    for each in model.subtree(top):
        assert changes[bisect_right(starts, numbers[each][0]) - 1][1] == (was[each] != now[each])


def _values(model: Model, default: bool) -> dict[Any, bool]:
    values = {each: model.answer(each, FLAG).value for each in model.parents}
    return {each: default if value is None else value for each, value in values.items()}


def _start(setting: PlacedSetting) -> int:
    return setting.start
