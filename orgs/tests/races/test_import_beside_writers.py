"""What others change while an import compares and computes without the tree lock."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from conftest import Cast
from flagsite.core import actor
from orgs.errors import ImportRefused
from orgs.importing import importer
from orgs.importing.importer import ImportReport
from orgs.tests.trees import get, paths
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def elsewhere(change: Callable[[], object]) -> None:
    """Let a change be made and committed on another connection."""

    def make() -> None:
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                change()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(make).result(timeout=30)


def imported(*rows: str, changes: list[Callable[[], object]], dry_run: bool = False) -> tuple[ImportReport, list[str]]:
    """Import lines while others make one change in each attempt, just before its lock. Returns the steps too."""
    steps: list[str] = []

    def lock_tree() -> None:
        if changes and steps[-1] != "reading":
            elsewhere(changes.pop(0))
        steps.append("lock")
        locks.lock_all_trees_for_writing()

    def on_progress(step: str, *_: Any) -> None:
        if step != (steps or [""])[-1]:
            steps.append(step)

    content = "\n".join(["key,name,parent_key", *rows, ""]).encode()
    report = importer.import_organizations(
        io.BytesIO(content), progress=on_progress, lock_tree=lock_tree, dry_run=dry_run
    )
    return report, steps


ATTEMPT = ["comparing", "computing", "lock"]
END = ["writing", "taking over"]


def test_a_change_of_the_same_tree_lets_the_import_compute_again(cast: Cast) -> None:
    def change() -> None:
        tree_operations.create(name="Late", key="late", parent_id=cast.north.pk)
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rome.pk)

    report, steps = imported("new,New,oslo", changes=[change])
    assert steps == ["reading", *ATTEMPT, *ATTEMPT, *END]
    assert {"acme/south/rome/oslo/new", "acme/north/late"} <= paths()
    assert report.created == 1


def test_a_change_of_another_tree_does_not(cast: Cast) -> None:
    change = lambda: tree_operations.create(name="Late", key="late", parent_id=cast.rival.pk)  # noqa: E731
    _, steps = imported("new,New,oslo", changes=[change])
    assert steps == ["reading", *ATTEMPT, *END]
    assert {"acme/north/oslo/new", "rival/late"} <= paths()


def test_if_others_change_the_tree_again_and_again_the_import_takes_the_lock_first(cast: Cast) -> None:
    def create(number: int) -> Callable[[], object]:
        return lambda: tree_operations.create(name="Late", key=f"late-{number}", parent_id=cast.acme.pk)

    number = importer.ATTEMPTS_WITHOUT_LOCK
    _, steps = imported("new,New,oslo", changes=[create(one) for one in range(number)])
    assert steps == ["reading", *ATTEMPT * number, "lock", "comparing", "computing", *END]
    assert "acme/north/oslo/new" in paths()
    assert get("acme").descendant_count == 5 + 1 + number


def test_a_key_that_somebody_creates_meanwhile_in_another_tree_is_found(cast: Cast) -> None:
    change = lambda: tree_operations.create(name="Theirs", key="new", parent_id=cast.rival.pk)  # noqa: E731
    with pytest.raises(ImportRefused, match="would move to another tree"):
        imported("new,New,oslo", changes=[change])
    assert "rival/new" in paths()


def test_a_parent_that_somebody_deletes_meanwhile_refuses_the_file(cast: Cast) -> None:
    with pytest.raises(ImportRefused):
        imported("new,New,oslo", changes=[lambda: tree_operations.delete(organization_id=cast.oslo.pk)])
    assert not Organization.objects.filter(key="new").exists()
    with pytest.raises(ImportRefused):
        imported("new,New,rival_store", changes=[lambda: get("rival").delete()])
    paths()


def test_a_refusal_for_what_somebody_has_put_right_meanwhile_does_not_count(cast: Cast) -> None:
    change = lambda: tree_operations.create(name="Missing", key="missing", parent_id=cast.rival.pk)  # noqa: E731
    report, _ = imported("new,New,missing", changes=[change])
    assert report.created == 1
    assert "rival/missing/new" in paths()


def test_a_dry_run_tells_what_is_true_when_it_ends(cast: Cast) -> None:
    change = lambda: Organization.objects.get(pk=cast.oslo.pk).move_to(cast.rome)  # noqa: E731
    report, _ = imported("oslo,Oslo,south", changes=[change], dry_run=True)
    [line] = report.changes
    assert (line.key, line.former_parent_key) == ("oslo", "rome")
