"""The program `plain_trees.py URL NAME FILE SEED`: the changes of `tree_changes.py` in another library for trees.

The library keeps the organizations in a table with a name and a key, without flags, locks, audit log or checks of
access. FILE has a line for each organization: its number and its parent's number. The program runs in an environment
with bench/peers.txt, so it imports no module of Flagsite.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

URL, NAME, FILE, SEED = sys.argv[1:]
TIMES = 200
MOST_MOVED = 300
MOST_SECONDS = 12.0
"""A change that is slow is measured less often."""
LEAST_TIMES = 2
STEP_LENGTH = 4
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

address = conninfo_to_dict(URL)
settings.configure(
    INSTALLED_APPS=["mptt", "treebeard"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": address["dbname"], "USER": address.get("user", ""),
            "PASSWORD": address.get("password", ""), "HOST": address.get("host", ""), "PORT": address.get("port", ""),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)  # fmt: skip
django.setup()

from django.db import connection, models, transaction  # noqa: E402
from mptt.models import MPTTModel, TreeForeignKey  # noqa: E402
from treebeard.mp_tree import MP_Node  # noqa: E402
from treebeard.ns_tree import NS_Node  # noqa: E402


class Mptt(MPTTModel):
    """django-mptt's nested sets."""

    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True)
    parent = TreeForeignKey("self", on_delete=models.CASCADE, null=True, related_name="children")

    class Meta:
        app_label = "bench"


class Paths(MP_Node):
    """django-treebeard's materialized paths."""

    steplen = STEP_LENGTH
    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True)

    class Meta:
        app_label = "bench"


class Nested(NS_Node):
    """django-treebeard's nested sets."""

    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True)

    class Meta:
        app_label = "bench"


class PlainTree:
    """A table of the library with the tree of FILE."""

    def __init__(self) -> None:
        self.model: Any = {"mptt": Mptt, "paths": Paths, "nested": Nested}[NAME]
        self.random = random.Random(SEED)
        lines = (line.split() for line in Path(FILE).read_text().splitlines())
        self.parents = [int(parent) for _, parent in lines]  # -1 for the root; parents come first
        self.children: list[list[int]] = [[] for _ in self.parents]
        for number, parent in enumerate(self.parents):
            if parent >= 0:
                self.children[parent].append(number)
        self.sizes = [1] * len(self.parents)
        for number in range(len(self.parents) - 1, 0, -1):
            self.sizes[self.parents[number]] += self.sizes[number]
        self.movable = [number for number, size in enumerate(self.sizes) if 2 <= size <= MOST_MOVED]
        self.created: list[int] = []

    def plant(self) -> None:
        """Write the tree with COPY; then update the statistics."""
        with connection.schema_editor() as editor:
            editor.create_model(self.model)
        table = self.model._meta.db_table
        columns = {
            "mptt": "id, name, key, parent_id, lft, rght, tree_id, level",
            "paths": "id, name, key, path, depth, numchild", "nested": "id, name, key, lft, rgt, tree_id, depth",
        }[NAME]  # fmt: skip
        with psycopg.connect(URL) as link, link.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in self._rows():
                copy.write_row(row)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {len(self.parents)})")
            cursor.execute(f"VACUUM ANALYZE {table}")

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows depth-first."""
        edge, paths = 0, {-1: ""}
        open_: list[tuple[int, int, int]] = [(0, 0, 0)]  # number, level, index among its siblings
        while open_:
            number, level, index = open_.pop()
            parent, below = self.parents[number], self.sizes[number] - 1
            names = (number + 1, "Organization", f"o{number}")
            edge += 1
            lft = 2 * edge - 1 - level
            numbers = (lft, lft + 2 * below + 1, 1)
            if NAME == "mptt":
                yield (*names, parent + 1 if parent >= 0 else None, *numbers, level)
            elif NAME == "nested":
                yield (*names, *numbers, level + 1)
            else:
                paths[number] = paths[parent] + _step(index + 1)
                yield (*names, paths[number], level + 1, len(self.children[number]))
            open_ += [(child, level + 1, index) for index, child in enumerate(self.children[number])][::-1]

    def create(self) -> None:
        """Create an organization below a random one."""
        parent = self.model.objects.get(pk=self._anywhere())
        values = {"name": "New", "key": f"new-{time.time_ns()}"}
        if NAME == "mptt":
            new = self.model.objects.create(parent=parent, **values)
        else:
            new = self.model.objects.add_child(parent, values)
        self.created.append(new.pk)

    def move(self) -> None:
        """Move a random subtree of 2 to 300 organizations below a random organization."""
        while True:
            moved, parent = self.random.choice(self.movable), self.random.randrange(len(self.parents))
            line = self._line(parent)
            if moved not in line and self.parents[moved] != parent and len(line) < 30:
                break
        node, target = self.model.objects.get(pk=moved + 1), self.model.objects.get(pk=parent + 1)
        if NAME == "mptt":
            node.move_to(target, "last-child")
        else:
            self.model.objects.move(node, target, "last-child")
        self.parents[moved] = parent

    def delete(self) -> None:
        """Delete an organization that was created."""
        self.model.objects.get(pk=self.created.pop()).delete()

    def _anywhere(self) -> int:
        return self.random.randrange(len(self.parents)) + 1

    def _line(self, number: int) -> list[int]:
        line = []
        while number >= 0:
            line.append(number)
            number = self.parents[number]
        return line


def _step(number: int) -> str:
    digits = ""
    for _ in range(STEP_LENGTH):
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def measure(operation: Callable[[], object], most: int) -> dict[str, float]:
    """Call the operation in a transaction, `most` times or for some seconds. Returns milliseconds: p50 and p99."""
    milliseconds: list[float] = []
    began = time.perf_counter()
    while len(milliseconds) < most and (time.perf_counter() - began < MOST_SECONDS or len(milliseconds) < LEAST_TIMES):
        start = time.perf_counter()
        with transaction.atomic():
            operation()
        milliseconds.append((time.perf_counter() - start) * 1_000)
    milliseconds.sort()
    of = lambda share: round(milliseconds[math.ceil(share * len(milliseconds)) - 1], 2)  # noqa: E731
    return {"times": len(milliseconds), "p50": of(0.5), "p99": of(0.99), "max": of(1)}


def main() -> None:
    """Print the figures as JSON."""
    tree = PlainTree()
    tree.plant()
    figures = {"create": measure(tree.create, TIMES), "move": measure(tree.move, TIMES)}
    figures["delete"] = measure(tree.delete, len(tree.created))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
