"""A chunk reads only the settings on the paths of its organizations, and finds what all settings decide for them."""

from __future__ import annotations

from bisect import bisect_right
from random import Random
from typing import Any

import pytest

from flags.definitions import service
from flags.models import FlagSetting
from flags.states.placed_settings import decided_on_paths, pieces_of_span, settings_of_subtree
from flags.tests.control.planting import plant
from orgs.tree.models import Organization
from orgs.tree.subtrees import load_subtree

pytestmark = pytest.mark.django_db


def random_tree(chance: Random, size: int) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [{}]
    tree = {"o0": nodes[0]}
    for number in range(1, size):
        node: dict[str, Any] = {}
        chance.choice(nodes)[f"o{number}"] = node
        nodes.append(node)
    return tree


def random_settings(chance: Random, flag_id: int, organizations: list[int]) -> None:
    for number, place in enumerate(chance.sample(organizations, len(organizations) // 2)):
        kind = chance.choice(["set", "set", "lock", "none"])
        FlagSetting.objects.create(
            organization_id=place, flag_id=flag_id, number=number + 1, kind=kind,
            enabled=None if kind == "none" else chance.choice([True, False]),
            only_here=kind == "set" and chance.random() < 0.2,
            exempt_from_id=chance.choice(organizations) if chance.random() < 0.2 else None,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_the_pieces_of_a_span_are_right_for_its_organizations(db: None, seed: int) -> None:
    chance = Random(seed)
    plant(random_tree(chance, 30))
    flag_id = service.create(key="checkout", values={}, by="test").pk
    organizations = list(Organization.objects.order_by("pk"))
    ids = [organization.pk for organization in organizations]
    random_settings(chance, flag_id, ids)
    expected = decided_on_paths(ids, [flag_id])
    for top in (organizations[0], *chance.sample(organizations, 4)):
        subtree = load_subtree(top.pk)
        assert subtree is not None
        everything = settings_of_subtree(subtree, [flag_id])[flag_id]
        for size in (1, 3, 30):
            for start in range(ids[0] - 1, ids[-1], size):
                pieces = pieces_of_span(subtree, [flag_id], after=start, last=start + size)[flag_id]
                assert len(pieces) <= 2 * len(everything.below) + 3
                starts = [piece.start for piece in pieces]
                for each in organizations:
                    if start < each.pk <= start + size and top.lft <= each.lft <= top.rght:
                        found = pieces[bisect_right(starts, each.lft) - 1].value
                        wanted = expected.get((each.pk, flag_id))
                        assert (found.enabled, found.source_id, found.number, found.locked) == (
                            (wanted.enabled, wanted.source_id, wanted.number, wanted.locked)
                            if wanted else (None, None, 0, False)
                        ), (each.key, start, size)  # fmt: skip
