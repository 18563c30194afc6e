"""Many writers and workers in several trees at once: no deadlock, and each row is as a naive model says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.tests.states.naive import Holds, NaiveModel
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.engine.states import OPEN
from jobs.tests.races.threads import Background
from orgs.errors import MoveUnderOwnDescendant, OrganizationHasChildren, OrganizationNotFound
from orgs.tree import integrity, tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
TREES, WRITERS, WORKERS, CHANGES = 4, 5, 2, 40
Change = tuple[int, Callable[[NaiveModel], object]]
"""The number of a committed change, by which all of them have an order, and what it means for the model."""


def number_drawn(*, anew: bool) -> int:
    """Return the change number that this session has drawn last, or draw another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('flags_change_number')" if anew else "SELECT currval('flags_change_number')")
        return int(cursor.fetchone()[0])


class Writer:
    """Changes organizations and flags at random, and remembers what it has committed."""

    def __init__(self, name: int, seed: int) -> None:
        self.name = name
        self.chance = random.Random(seed * 100 + name)
        self.committed: list[Change] = []

    def work(self) -> None:
        """Make the changes. A change that others have made impossible is left out."""
        deeds = (self.create, self.create, self.move, self.move, self.set, self.set, self.set, self.delete)
        for step in range(CHANGES):
            try:
                with transaction.atomic():
                    change = self.chance.choice(deeds)(f"{self.name}-{step}")
            except (OrganizationNotFound, OrganizationHasChildren, MoveUnderOwnDescendant):
                continue
            if change is not None:
                self.committed.append(change)

    def create(self, key: str) -> Change:
        parent = self.chance.choice([*self._ids(), None])
        created = tree_operations.create(name=key, key=key, parent_id=parent).pk
        return number_drawn(anew=True), lambda model: model.create(created, parent)

    def move(self, _: str) -> Change | None:
        """Move, often to another tree and sometimes to a tree of its own. The move has drawn the number itself."""
        before = number_drawn(anew=True)
        moved, parent = self.chance.choice(self._ids()), self.chance.choice([*self._ids(), None])
        tree_operations.move(organization_id=moved, parent_id=parent)
        number = number_drawn(anew=False)
        return None if number == before else (number, lambda model: model.move(moved, parent, number=number))

    def set(self, _: str) -> Change:
        organization, key = self.chance.choice(self._ids()), self.chance.choice("fg")
        enabled = self.chance.random() < 0.5
        accepted = set_flag(organization_id=organization, flag_key=key, enabled=enabled)
        number, flag = accepted.change.number, accepted.flag.pk
        return number, lambda model: model.set(
            organization, flag, enabled=enabled, number=number, below="overwrite", only_here=False
        )

    def delete(self, _: str) -> Change:
        organization = self.chance.choice(self._ids())
        tree_operations.delete(organization_id=organization)
        return number_drawn(anew=True), lambda model: model.delete(organization)

    def _ids(self) -> list[int]:
        return list(Organization.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_many_writers_in_many_trees_end_as_one_after_another(
    seed: int, reconnections: list[str], wake_ups: list[str], set_smallest_chunk: Callable[[int], None]
) -> None:
    set_smallest_chunk(2)
    for key in "fg":
        service.create(key=key, values={}, by="user:olga")
    model = NaiveModel()
    for tree in range(TREES):
        parent = None
        for level in range(5):
            parent, above = tree_operations.create(name="n", key=f"t{tree}-{level}", parent_id=parent).pk, parent
            model.create(parent, above)
    writers = [Writer(number, seed) for number in range(WRITERS)]
    done = threading.Event()
    with override_settings(FLAGS_INLINE_ROWS=2):
        workers = [Background(lambda: work_until(done)) for _ in range(WORKERS)]
        for running in [Background(writer.work) for writer in writers]:
            running.result()
        done.set()
        for worker in workers:
            worker.result()
    assert reconnections == []  # no chunk met a deadlock
    assert set(Job.objects.values_list("status", "failed")) == {("COMPLETED", 0)}
    for _, happened in sorted((change for writer in writers for change in writer.committed), key=lambda one: one[0]):
        happened(model)
    assert integrity.find_problems().sound
    assert dict(Organization.objects.values_list("pk", "parent_id")) == model.parents
    assert rows() == {
        (organization, flag): holds
        for organization, values in model.values.items()
        for flag, holds in values.items()
        if holds.enabled is not None
    }


def work_until(done: threading.Event) -> None:
    """Carry out jobs until nobody makes changes any more and no job is open."""
    while not done.is_set() or Job.objects.filter(status__in=OPEN).exists():
        runner.run_next("propagation")


def rows() -> dict[tuple[int, int], Any]:
    flags = list(Flag.objects.values_list("pk", flat=True))
    return {
        (row.organization_id, row.flag_id): Holds(row.enabled, row.source_id, row.change_number)
        for row in FlagState.objects.filter(flag_id__in=flags, enabled__isnull=False)
    }
