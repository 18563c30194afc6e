"""A process of its own that creates and moves organizations as fast as it can; the race tests start several.

Called with the database's name, a number of its own, the root's id, and "locked" or "unlocked". It says "ready", waits
for a line, and prints at the end how many changes it made.
"""

from __future__ import annotations

import os
import random
import sys

import django
from django.conf import settings

settings.DATABASES["default"]["NAME"] = sys.argv[1]
UNLOCKED = sys.argv[-1] == "unlocked"
if UNLOCKED:  # they deadlock all the time; no need to wait a second for each to be found
    os.environ["PGOPTIONS"] = "-c lock_timeout=100ms"
django.setup()

from django.db import DatabaseError  # noqa: E402

from flagsite.core import actor  # noqa: E402
from orgs.errors import MoveUnderOwnDescendant  # noqa: E402
from orgs.tree import locks, tree_operations  # noqa: E402
from orgs.tree.models import Organization  # noqa: E402

CREATED = 12
MOVED = 8
TO_BE_EXPECTED = (MoveUnderOwnDescendant, DatabaseError) if UNLOCKED else (MoveUnderOwnDescendant,)


def change_the_tree(number: int, root_id: int) -> int:
    """Create organizations below the root and move any of them below any other; returns how many were created."""
    chance = random.Random(number)
    created = 0
    for step in range(CREATED):
        try:
            tree_operations.create(name="New", key=f"{number}-{step}", parent_id=root_id)
        except TO_BE_EXPECTED:
            continue
        created += 1
    for _ in range(MOVED):
        ids = list(Organization.objects.exclude(pk=root_id).values_list("pk", flat=True))
        moved, target = chance.choice(ids), chance.choice([*ids, root_id])
        try:
            tree_operations.move(organization_id=moved, parent_id=target)
        except TO_BE_EXPECTED:
            continue
    return created


def main() -> None:
    """Wait for the start, then work."""
    _, _, number, root_id, _ = sys.argv
    if UNLOCKED:
        locks.lock_trees_for_writing = lambda *_: None
    list(Organization.objects.values_list("pk")[:1])  # connected before the start
    print("ready", flush=True)
    sys.stdin.readline()
    with actor.acting("worker", actor=actor.SYSTEM):
        print(change_the_tree(int(number), int(root_id)), flush=True)


if __name__ == "__main__":
    main()
