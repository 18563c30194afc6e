"""An import that moves many organizations writes what the same moves would write one by one, with few statements."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.errors import FlagLocked
from flags.states.models import FlagSetting, FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.tests.trees import import_rows
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("wake_ups")]
FLAGS = ("a", "b", "c", "d")


class _Undo(Exception):
    """Rolls back."""


def _run_jobs() -> None:
    while runner.run_next("propagation"):
        pass


def _plant(chance: random.Random, size: int) -> dict[str, str]:
    """Create two random trees, and return the parents' keys by key."""
    parents = {"o0": "", "o1": ""} | {f"o{number}": f"o{chance.randrange(number)}" for number in range(2, size)}
    import_rows(*(f"{key},Organization,{parent}" for key, parent in parents.items()))
    return parents


def _set_flags(chance: random.Random, parents: dict[str, str]) -> None:
    """Set flags anywhere; some jobs have done their work, others wait."""
    ids = dict(Organization.objects.values_list("key", "pk"))
    for number in range(12):
        key = chance.choice([*parents])
        with suppress(FlagLocked):
            set_flag(
                organization_id=ids[key], flag_key=chance.choice(FLAGS), enabled=chance.random() < 0.5,
                below=chance.choice([*Below]),
            )  # fmt: skip
        if number == 8:
            _run_jobs()


def _path(parents: dict[str, str], key: str) -> list[str]:
    path = [key]
    while parents.get(path[-1]):
        path.append(parents[path[-1]])
    return path[::-1]


def _moves(chance: random.Random, parents: dict[str, str]) -> dict[str, str]:
    """Choose organizations, none of which is below another, and new parents, which may be below others of them."""
    after: dict[str, str] = dict(parents)
    moves: dict[str, str] = {}
    for key in chance.sample([*parents], len(parents) // 2):
        is_related = any(key in _path(parents, moved) or moved in _path(parents, key) for moved in moves)
        target = chance.choice(["", *parents])
        if not is_related and target != parents[key] and key not in _path(after, target):
            moves[key] = after[key] = target
    return dict(sorted(moves.items(), key=lambda move: len(_path(after, move[0]))))


def _all() -> tuple[Any, ...]:
    """The values of all organizations, and the settings that stand."""
    states = FlagState.objects.filter(enabled__isnull=False)
    rows = (
        states.values_list("organization__key", "flag__key", "enabled", "source__key", "locked"),
        FlagSetting.objects.exclude(kind="none").values_list("organization__key", "flag__key", "kind", "enabled"),
    )
    return tuple(sorted(row, key=str) for row in rows)


@pytest.mark.parametrize("most_rows", [10_000, 6, 0], ids=["at once", "some by jobs", "by jobs"])
@pytest.mark.parametrize("seed", range(6))
def test_it_writes_what_the_same_moves_write_one_by_one(seed: int, most_rows: int, settings: Any) -> None:
    settings.FLAGS_INLINE_ROWS = most_rows
    chance = random.Random(seed)
    parents = _plant(chance, 30)
    _set_flags(chance, parents)
    moves = _moves(chance, parents)
    assert len(moves) > 3
    ids = {"": None} | dict(Organization.objects.values_list("key", "pk"))
    with pytest.raises(_Undo), transaction.atomic():
        for key, target in moves.items():
            tree_operations.move(organization_id=ids[key] or 0, parent_id=ids[target])
        _run_jobs()
        one_by_one = _all()
        raise _Undo
    import_rows(*(f"{key},Organization,{target}" for key, target in moves.items()))
    _run_jobs()
    assert _all() == one_by_one


def _statements(*rows: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        import_rows(*rows)
    return len(captured)


def test_ten_times_as_many_moves_need_as_many_statements() -> None:
    import_rows("top,Top,", *(f"p{n},P,top" for n in range(40)), *(f"c{n},C,p{n}" for n in range(40)))
    ids = dict(Organization.objects.values_list("key", "pk"))
    for key in ("top", "p1", "p2", "p30"):
        for flag in FLAGS:
            set_flag(organization_id=ids[key], flag_key=flag, enabled=key != "top")
    _run_jobs()
    few = _statements(*(f"p{n},P,p{n + 10}" for n in range(2)))
    assert _statements(*(f"p{n},P,c{n + 20}" for n in range(20))) == few


def test_a_move_of_a_former_ancestor_gives_nothing_to_what_leaves_it(cast: Cast, settings: Any) -> None:
    """North goes below the rival, which has a flag, and oslo goes from north to a new root, which has none."""
    settings.FLAGS_INLINE_ROWS = 0
    set_flag(organization_id=cast.rival.pk, flag_key="a", enabled=True)
    _run_jobs()
    import_rows("north,North,rival", "new,New,", "mid,Mid,new", "oslo,Oslo,mid")
    _run_jobs()
    assert FlagState.objects.filter(organization=cast.bergen, source=cast.rival).exists()
    assert not FlagState.objects.filter(organization=cast.oslo).exists()
