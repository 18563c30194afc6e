"""Several workers carry opposite changes down overlapping subtrees at the same time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction

from conftest import Cast
from flags.states import sql
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.tests.races.threads import Background
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def many_chunks(wake_ups: list[str], set_smallest_chunk: Callable[[int], None]) -> None:
    set_smallest_chunk(3)


def work_until_nothing_waits() -> int:
    done = 0
    while runner.run_next("propagation"):
        done += 1
    return done


def test_the_last_accepted_wins_everywhere_and_nobody_stops_anybody(cast: Cast, reconnections: list[str]) -> None:
    for number in range(24):  # ids that go against the order of the tree
        tree_operations.create(name="s", key=f"s{number}", parent_id=[cast.rome, cast.oslo, cast.north][number % 3].pk)
    jobs = []
    for number in range(8):
        place = (cast.acme, cast.north, cast.acme, cast.south)[number % 4]
        jobs.append(set_flag(organization_id=place.pk, flag_key="f", enabled=number % 2 == 0))
    workers = [Background(work_until_nothing_waits) for _ in range(4)]
    assert sum(worker.result() for worker in workers) == 8
    assert reconnections == []  # no deadlock
    assert set(Job.objects.values_list("status", "failed")) == {("COMPLETED", 0)}
    last = {place: accepted.change for place, accepted in zip(["acme", "south"], [jobs[6], jobs[7]], strict=True)}
    south = {cast.south.pk, cast.rome.pk} | set(
        Organization.objects.filter(parent=cast.rome).values_list("pk", flat=True)
    )
    for row in FlagState.objects.all():
        assert row.change_number == last["south" if row.organization_id in south else "acme"].number


def test_an_insert_that_meets_a_newer_row_leaves_it(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer row appears after the older change's statement has looked, while it waits for the key."""
    older = set_flag(organization_id=cast.acme.pk, flag_key="f", enabled=True)
    with transaction.atomic():
        newer = set_flag(organization_id=cast.oslo.pk, flag_key="f", enabled=False)
        worker = Background(lambda: runner.run_next("propagation"))
        worker.wait_until_blocked()
    worker.result()
    row = FlagState.objects.get(organization=cast.oslo)
    assert (row.enabled, row.change_number) == (False, newer.change.number)
    assert older.job is not None
    older.job.refresh_from_db()
    assert (older.job.processed, older.job.superseded) == (6, 1)


def begin_and_end(root: Organization, flag_ids: list[int]) -> None:
    with transaction.atomic():
        sql.begin_chunk(root.pk, flag_ids)


def test_a_chunk_waits_for_another_one_that_writes_the_same_flag_in_the_same_tree(cast: Cast) -> None:
    """Else both could hold rows that the other wants: each updates some rows and inserts others, in two goes."""
    with transaction.atomic():
        sql.begin_chunk(cast.acme.pk, [1, 2])
        second = Background(lambda: begin_and_end(cast.south, [2, 3]))
        second.wait_until_blocked()
    second.result()


def test_chunks_that_write_other_flags_or_in_other_trees_wait_for_nobody(cast: Cast) -> None:
    with transaction.atomic():
        sql.begin_chunk(cast.acme.pk, [1, 2])
        Background(lambda: begin_and_end(cast.acme, [3])).result()
        Background(lambda: begin_and_end(cast.rival, [1, 2])).result()
