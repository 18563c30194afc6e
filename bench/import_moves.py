"""The process of the benchmark `import_moves`: how long an import that moves many organizations holds their tree.

The moved organizations are leaves and small subtrees. Their new parents are in the same tree, and have flag states.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from django.db import connection

from bench.tree_changes import Tree
from flags.states.set_flag import set_flag
from flagsite.core import actor
from jobs.engine import runner
from orgs.importing import importer
from orgs.tree.models import Organization

SIZE, MOVES, FLAGS = 50_000, 5_000, 20
MOST_MOVED = 10
"""Organizations of the largest subtree that moves."""


def run(size: int) -> None:
    """Import a tree, set flags, import moves, and print the figures as JSON."""
    with actor.acting("command", actor="bench"):
        tree = Tree(min(size, SIZE))
        tree.plant()
        _set_flags(tree)
        print(json.dumps(_move(tree, min(MOVES, tree.size // 10))))


def _set_flags(tree: Tree) -> None:
    """Set each flag on the root, and then on an organization in the middle and on a leaf."""
    for number in range(FLAGS):
        places = [min(tree.parents), tree.random.choice(tree.movable), tree.random.choice(tree.leaves)]
        for place in places:
            set_flag(organization_id=place, flag_key=f"flag-{number}", enabled=number % 2 == 0)
            while runner.run_next("propagation"):
                pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _move(tree: Tree, moves: int) -> dict[str, Any]:
    """Move leaves, and one small subtree for nine leaves, below random organizations that do not move."""
    small = [key for key in tree.movable if tree.sizes[key] <= MOST_MOVED]
    moved = set(tree.random.sample(small, min(moves // 10, len(small))))
    moved |= set(tree.random.sample(tree.leaves, moves - len(moved)))
    stay = [key for key in tree.parents if not moved & set(_path(tree, key))]
    keys = dict(Organization.objects.values_list("pk", "key"))
    rows = [f"{keys[key]},Organization,{keys[tree.random.choice(stay)]}\n" for key in sorted(moved)]
    events: list[tuple[str, float, int]] = []
    statements = 0

    def count(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(sql, parameters, many, context)

    note = lambda name: events.append((name, time.perf_counter(), statements))  # noqa: E731
    with connection.execute_wrapper(count):
        importer.import_organizations(
            BytesIO("".join(["key,name,parent_key\n", *rows]).encode()),
            progress=lambda phase, *_: note(phase), on_locked=lambda: note("locked"),
        )  # fmt: skip
    note("end")
    begun = {name: (seconds, number) for name, seconds, number in reversed(events)}
    (ended, all_statements), (taking_over, before), (locked, _) = (
        begun[name] for name in ("end", importer.TAKING_OVER, "locked")
    )
    return {
        "moves": len(moved), "size": tree.size, "flags": FLAGS, "locked_seconds": ended - locked,
        "states_seconds": ended - taking_over, "states_statements": all_statements - before,
    }  # fmt: skip


def _path(tree: Tree, key: int | None) -> Iterator[int]:
    while key is not None:
        yield key
        key = tree.parents[key]
