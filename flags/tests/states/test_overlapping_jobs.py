"""Several workers carry opposite changes down overlapping subtrees at the same time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from conftest import Cast
from flags.definitions.models import Flag
from flags.states import sql
from flags.states.expected_states import differences
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
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


BLOCK = 65_536
LOCKS_OF_TREES = 2
"""A chunk has the lock of all trees and that of its tree, both shared."""


def _organizations_with_ids(parent: Organization, *ids: int) -> list[Organization]:
    return [Organization.objects.create(pk=pk, name=f"No {pk}", key=f"no-{pk}", parent=parent) for pk in ids]


def lock_and_end(root: Organization, flag_ids: list[int]) -> None:
    with transaction.atomic():
        lock_blocks(root, flag_ids)


def lock_blocks(root: Organization, flag_ids: list[int]) -> None:
    """Begin a chunk that writes these flags to every organization of the subtree."""
    subtree = sql.begin_chunk(root.pk)
    assert subtree is not None
    assert sql.next_span(subtree, after=0, most=1000, to_write=flag_ids) is not None


def test_a_chunk_waits_for_another_one_that_writes_the_same_flag_in_the_same_block(cast: Cast) -> None:
    """Else both could hold rows that the other wants: each updates some rows and inserts others, in two goes."""
    with transaction.atomic():
        lock_blocks(cast.acme, [1, 2])
        second = Background(lambda: lock_and_end(cast.south, [2, 3]))
        second.wait_until_blocked()
    second.result()


def test_chunks_that_write_other_flags_or_in_other_trees_wait_for_nobody(cast: Cast) -> None:
    with transaction.atomic():
        lock_blocks(cast.acme, [1, 2])
        Background(lambda: lock_and_end(cast.acme, [3])).result()
        Background(lambda: lock_and_end(cast.rival, [1, 2])).result()


def test_chunks_that_write_the_same_flag_in_other_blocks_of_ids_wait_for_nobody(cast: Cast) -> None:
    others = _organizations_with_ids(cast.acme, BLOCK, BLOCK * 2 - 1)
    with transaction.atomic():
        lock_blocks(cast.south, [1])
        Background(lambda: lock_and_end(others[0], [1])).result()
        Background(lambda: lock_and_end(others[1], [1])).result()


def test_a_chunk_whose_ids_lie_in_several_blocks_waits_for_each_of_them(cast: Cast) -> None:
    for held in (cast.south, *_organizations_with_ids(cast.acme, BLOCK, BLOCK * 2, BLOCK * 3 - 1)):
        with transaction.atomic():
            lock_blocks(held, [1])
            whole = Background(lambda: lock_and_end(cast.acme, [1]))
            whole.wait_until_blocked()
        whole.result()


def test_organizations_with_ids_far_apart_take_eight_locks_of_a_flag_at_most(cast: Cast) -> None:
    _organizations_with_ids(cast.acme, BLOCK * 5, BLOCK * 5000)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        before = cursor.fetchone()[0]
        lock_blocks(cast.acme, [1])
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone()[0] - before - LOCKS_OF_TREES == 8


def test_jobs_whose_chunks_overlap_in_many_blocks_never_deadlock(cast: Cast, reconnections: list[str]) -> None:
    """Some rows are there and others are not, so that each chunk updates and inserts."""
    tops = [cast.acme, *_organizations_with_ids(cast.acme, *range(BLOCK * 5, BLOCK * 12, BLOCK))]
    for number, top in enumerate(tops[1:]):
        for step in range(4):
            pk = top.pk + BLOCK * step + 7 + number
            Organization.objects.create(pk=pk, name="x", key=f"x{pk}", parent=top)
    for number in range(16):
        for key in ("f", "g"):
            top = tops[(number * 5) % len(tops)]
            set_flag(organization_id=top.pk, flag_key=key, enabled=number % 2 == 0, below=Below.KEEP)
    workers = [Background(work_until_nothing_waits) for _ in range(4)]
    assert sum(worker.result() for worker in workers) == 32
    assert reconnections == []
    assert set(Job.objects.values_list("status", "failed")) == {("COMPLETED", 0)}
    everywhere = list(Organization.objects.values_list("pk", flat=True))
    assert differences(everywhere, list(Flag.objects.values_list("pk", flat=True))) == []
