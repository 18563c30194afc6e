"""Several writers at once: the tree stays sound with the lock, and demonstrably does not without it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connection, transaction

from conftest import Cast
from flagsite.core import actor
from orgs.tests.trees import get, import_rows, paths
from orgs.tree import integrity, locks, tree_operations
from orgs.tree.models import Organization

PROCESSES = 8
CREATED_BY_EACH = 12


def run_writers(root: Organization, mode: str) -> int:
    """Let 8 processes create below one root and move; returns how many organizations they say they created."""
    with ExitStack() as stack:
        writers = []
        for number in range(PROCESSES):
            command = [sys.executable, "-m", "orgs.tests.races.writer", str(connection.settings_dict["NAME"])]
            writer = subprocess.Popen(
                [*command, str(number), str(root.pk), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            writers.append(stack.enter_context(writer))
            stack.callback(writer.kill)
        assert [writer.stdout and writer.stdout.readline() for writer in writers] == ["ready\n"] * PROCESSES
        for writer in writers:
            assert writer.stdin
            writer.stdin.write("go\n")
            writer.stdin.flush()
        return sum(int(writer.communicate(timeout=60)[0] or 0) for writer in writers)


@pytest.fixture
def no_trigger(transactional_db: None) -> Iterator[None]:
    """Without the database's own guard, so that the lock alone can be judged."""
    with connection.cursor() as cursor:
        for change in ("DISABLE", "ENABLE"):
            if change == "ENABLE":
                yield
            for operation in ("insert", "update", "delete"):
                cursor.execute(f"ALTER TABLE orgs_organization {change} TRIGGER orgs_require_tree_lock_{operation}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_processes_under_one_root_leave_a_sound_tree(transactional_db: None) -> None:
    root = tree_operations.create(name="Root", key="root")
    assert run_writers(root, "locked") == PROCESSES * CREATED_BY_EACH
    assert len(paths()) == PROCESSES * CREATED_BY_EACH + 1
    assert Organization.objects.filter(parent=None).count() == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_the_lock_the_same_processes_ruin_the_tree(no_trigger: None) -> None:
    root = tree_operations.create(name="Root", key="root")
    run_writers(root, "unlocked")
    assert not integrity.find_problems().sound


@contextmanager
def in_another_connection() -> Iterator[Callable[[Callable[[], object]], Future[object]]]:
    """Run something in a thread with a connection of its own."""

    def run(change: Callable[[], object]) -> object:
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                return change()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield lambda change: pool.submit(run, change)


def wait_until_somebody_waits_for_the_tree() -> None:
    """Return as soon as a session waits for the lock of a tree or of all trees."""
    deadline = time.monotonic() + 10
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND %s IN (classid, objid) AND NOT granted"
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(waiting, [locks.TREE_LOCK])
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    raise AssertionError("Nobody waits for the tree lock.")


WAITING: dict[str, Callable[[Cast], object]] = {
    "create": lambda cast: tree_operations.create(name="New", key="new", parent_id=cast.north.pk),
    "create by a stale instance": lambda cast: Organization.objects.create(name="New", key="new", parent=cast.north),
    "move": lambda cast: tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.north.pk),
    "move by a stale instance": lambda cast: cast.rome.move_to(cast.north),
    "delete by a stale instance": lambda cast: cast.oslo.delete(),
    "import": lambda cast: import_rows("new,New,north", "rome,Rome,oslo"),
    "repair": lambda cast: integrity.repair(),
}


@pytest.mark.parametrize("change", WAITING.values(), ids=WAITING)
def test_a_writer_waits_for_another_and_reads_the_tree_after_it(
    transactional_db: None, cast: Cast, change: Callable[[Cast], object]
) -> None:
    with in_another_connection() as start:
        with transaction.atomic():
            locks.lock_all_trees_for_writing()
            late = start(lambda: change(cast))
            wait_until_somebody_waits_for_the_tree()
            tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival_store.pk)
            tree_operations.create(name="First", key="first", parent_id=cast.acme.pk)
        late.result(timeout=10)
    assert {"rival/rival_store/north", "acme/first"} <= paths()
    if Organization.objects.filter(key="new").exists():
        assert "rival/rival_store/north/new" in paths()


def test_a_reader_keeps_writers_out(transactional_db: None, cast: Cast) -> None:
    with in_another_connection() as start, transaction.atomic():
        locks.lock_trees_for_reading(cast.oslo.pk)
        late = start(lambda: tree_operations.delete(organization_id=cast.oslo.pk))
        wait_until_somebody_waits_for_the_tree()
        assert get("oslo").pk == cast.oslo.pk
    assert late.result(timeout=10) == 1
