"""The process of the benchmark `structure`: import a tree, change it, and measure each change.

The trees are deep: an organization with children has 3 to 50 of them, and some lines are 20 levels long.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection

from flagsite.core import actor
from orgs.importing import importer
from orgs.tree import integrity, tree_operations
from orgs.tree.models import Organization

TIMES = 200
MOST_LEVELS = 20
MOST_MOVED = 300
TABLE_FIGURES = """
SELECT pg_relation_size('orgs_organization'), pg_indexes_size('orgs_organization'), n_tup_upd, n_tup_hot_upd
  FROM pg_stat_user_tables WHERE relname = 'orgs_organization'
"""
WORST_CREATIONS, WORST_MOVES, RANDOM_MOVES = 10_000, 2_000, 10_000


def run(size: int, *, worst: bool) -> None:
    """Import a tree of this size, change it, and print the figures as JSON. The tree must be sound afterwards."""
    with actor.acting("command", actor="bench"):
        figures = _measure(Tree(size), worst=worst)
    if not integrity.find_problems().sound:
        raise SystemExit("The tree is damaged.")
    print(json.dumps(figures))


def write_parents(size: int, file: str) -> None:
    """Write the same tree for `plain_trees.py`: a line for each organization, with its number and its parent's."""
    rows = Tree(size).rows()
    Path(file).write_text("".join(f"{number} {parent.removeprefix('o') or -1}\n" for number, parent in rows))


def plant_one(size: int) -> None:
    """Import a tree."""
    with actor.acting("command", actor="bench"):
        Tree(size).plant()


def plant_two(large: int, small: int) -> None:
    """Import two trees, and print JSON with what `writers.py` needs of each: leaves, movable organizations, parents."""
    chosen = []
    with actor.acting("command", actor="bench"):
        for size, prefix in ((large, "l"), (small, "s")):
            tree = Tree(size, prefix=prefix)
            tree.plant()
            chosen.append({
                "root": min(tree.parents), "leaves": tree.some(tree.leaves), "movable": tree.some(tree.movable),
                "parents": tree.some(tree.all),
            })  # fmt: skip
    print(json.dumps(chosen))


def _measure(tree: Tree, *, worst: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {"import_seconds": tree.plant()}
    created: list[int] = []
    figures["create"] = measure(TIMES, lambda: created.append(tree.create(tree.anywhere())))
    figures["move"] = measure(TIMES, tree.move_one)
    figures["delete"] = measure(TIMES, lambda: tree_operations.delete(organization_id=created.pop()))
    if worst:
        leaf = tree.leaf()
        figures["worst"] = {
            f"{WORST_CREATIONS:,} creations below one leaf": measure(WORST_CREATIONS, lambda: tree.create(leaf)),
            f"{WORST_CREATIONS:,} creations in chains": measure(WORST_CREATIONS, tree.create_in_chain),
            f"{WORST_MOVES:,} moves below one leaf": measure(WORST_MOVES, lambda: tree.move_one(tree.other_leaf)),
        }
        before = table_figures()
        figures["worst"][f"{RANDOM_MOVES:,} moves after them"] = measure(RANDOM_MOVES, tree.move_one)
        figures["table"] = {"before": before, "after": table_figures()}
    return figures


def table_figures() -> dict[str, int]:
    """Return the bytes of the table and of its indexes, and its updates: all, and those without index entries."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(TABLE_FIGURES)
        return dict(zip(("table", "indexes", "updates", "heap_only"), cursor.fetchone(), strict=True))


def measure(times: int, operation: Callable[[], object]) -> dict[str, Any]:
    """Call the operation so many times. Returns the milliseconds of one call: p50, p99 and the longest, and the sum."""
    milliseconds = []
    for _ in range(times):
        began = time.perf_counter()
        operation()
        milliseconds.append((time.perf_counter() - began) * 1_000)
    milliseconds.sort()
    of = lambda share: round(milliseconds[math.ceil(share * times) - 1], 2)  # noqa: E731
    figures = {
        "times": times,
        "p50": of(0.5),
        "p99": of(0.99),
        "max": of(1),
        "slowest": [round(one) for one in milliseconds[:-6:-1]],
        "seconds": round(sum(milliseconds) / 1e3, 1),
    }
    print(figures, file=sys.stderr, flush=True)  # the whole run takes long
    return figures


class Tree:
    """A random tree, in memory and in the database. It remembers the parents, so that it can choose what to move."""

    def __init__(self, size: int, *, prefix: str = "o") -> None:
        self.random = random.Random(size)
        self.size = size
        self.prefix = prefix
        self.parents: dict[int, int | None] = {}
        self.chain: list[int] = []

    def plant(self) -> float:
        """Write the tree into the database. Returns the seconds."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "organizations.csv"
            with file.open("w") as stream:
                stream.write("key,name,parent_key\n")
                stream.writelines(f"{self.prefix}{key},Organization,{parent}\n" for key, parent in self.rows())
            began = time.perf_counter()
            with file.open("rb") as content:
                importer.import_organizations(content)
        seconds = time.perf_counter() - began
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE orgs_organization")
        planted = Organization.objects.filter(key__startswith=self.prefix)
        self.parents = dict(planted.values_list("pk", "parent_id"))
        self.sizes = {key: below + 1 for key, below in planted.values_list("pk", "descendant_count")}
        self.movable = [key for key, size in self.sizes.items() if 2 <= size <= MOST_MOVED]
        self.leaves = [key for key, size in self.sizes.items() if size == 1]
        self.all = list(self.parents)
        self.other_leaf = self.leaf()
        return round(seconds, 1)

    def rows(self) -> list[tuple[int, str]]:
        """Return the number of each organization and its parent's key, parents before children."""
        rows, levels, open_ = [(0, "")], [0], [0]
        while len(rows) < self.size:
            at = (
                self.random.randrange(max(0, len(open_) - 8), len(open_))
                if self.random.random() < 0.3
                else (self.random.randrange(len(open_)))
            )
            open_[at], open_[-1] = open_[-1], open_[at]
            parent = open_.pop()
            if levels[parent] >= MOST_LEVELS:
                continue
            for _ in range(min(int(math.exp(self.random.uniform(math.log(3), math.log(51)))), self.size - len(rows))):
                open_.append(len(rows))
                rows.append((len(rows), f"{self.prefix}{parent}"))
                levels.append(levels[parent] + 1)
        return rows

    def some(self, organizations: list[int], most: int = 2_000) -> list[int]:
        """Return random ones of these organizations."""
        return self.random.sample(organizations, min(most, len(organizations)))

    def anywhere(self) -> int:
        """Return a random organization."""
        return self.random.choice(self.all)

    def leaf(self) -> int:
        """Return a random organization without children."""
        return self.random.choice(self.leaves)

    def create(self, parent_id: int) -> int:
        """Create an organization and return its id."""
        return tree_operations.create(name="New", key=f"new-{time.time_ns()}", parent_id=parent_id).pk

    def create_in_chain(self) -> None:
        """Create an organization below the one that was created last, or below a random one after 15 levels."""
        parent = self.chain[-1] if len(self.chain) % 15 else self.anywhere()
        self.chain.append(self.create(parent))

    def move_one(self, target: int | None = None) -> None:
        """Move a random subtree of 2 to 300 organizations below the target, or below a random organization."""
        while True:
            moved, parent = self.random.choice(self.movable), target or self.anywhere()
            line, size = self._line(parent), self.sizes[moved]
            if moved not in line and self.parents[moved] != parent and len(line) < 30 and size <= MOST_MOVED:
                break
        tree_operations.move(organization_id=moved, parent_id=parent)
        for ancestor in self._line(moved)[1:]:
            self.sizes[ancestor] -= size
        for ancestor in line:
            self.sizes[ancestor] += size
        self.parents[moved] = parent

    def _line(self, organization_id: int) -> list[int]:
        line: list[int] = []
        at: int | None = organization_id
        while at is not None:
            line.append(at)
            at = self.parents[at]
        return line
