"""Sets and evaluations beside a client that moves organizations, and while a large subtree moves.

The rows say different things:

- "beside a mover without pause": the mover sends the next move as soon as it has the answer to the last one. It takes
  as much of the processors as it gets, so on a machine with two processors these figures say how fast these are, more
  than how long a move holds the tree. No customer moves organizations at such a rate.
- "beside 20 moves a second": a store every 50 milliseconds, which is still more than any customer moves. The processors
  have time left, so this figure says how much moves keep sets in the same tree waiting.
- "of single evaluations": reads take no lock. So what the mover costs them is its share of the processors, and the
  yardstick has the same with programs that only compute.
- "while a subtree of … moves": one large move, which holds the tree for as long as it writes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.coherence import paced, percentile_99
from bench.installation import Installation
from bench.reads import read_request
from bench.report import Result
from bench.running_writers import ended, run_writers

LARGE, SMALL = 239_000, 5_000
"""The sizes of the tree in which somebody moves organizations, and of another tree."""
SETTERS = 2
SECONDS = 5.0
TURNS = 5
"""Of each kind, in alternation; the median counts."""
FLAG_PATH = "/ofrep/v1/evaluate/flags/bench"
PLANT = "import django; django.setup(); from bench.tree_changes import plant_two; plant_two({}, {})"
LARGE_SUBTREE = 100_000
SECONDS_AROUND = 1.0
"""Before the move and after it, the setters are counted too."""
MOVES_PER_SECOND = 20
MIN_SAME_TREE, MIN_OTHER_TREE, MIN_AT_A_RATE, MOST_P99 = 0.5, 0.9, 0.75, 2.0


def changes_beside_moves(installation: Installation, rows: int) -> list[Result]:
    """Compare sets on leaves and single evaluations beside moves with the same alone."""
    installation.clear()
    large = min(rows, LARGE)
    planted = installation.python(PLANT.format(large, min(SMALL, large)))
    same, other = json.loads(planted.splitlines()[-1])
    installation.authorize()
    installation.http.post(f"/{same['root']}/bench/true").raise_for_status()
    with installation.worker(concurrency=2, keep=True):
        _wait_for_jobs(installation)
        sets = [
            _sets(installation, same, same, "the same tree", MIN_SAME_TREE),
            _sets(installation, same, other, "another tree", MIN_OTHER_TREE),
            _sets(installation, same, same, "the same tree", MIN_AT_A_RATE, per_second=MOVES_PER_SECOND),
        ]
        return [*sets, _evaluations(installation, same), _large_move(installation, same)]


def _sets(
    installation: Installation, moved: Any, tree: Any, name: str, least: float, *, per_second: float = 0
) -> Result:
    """Set flags on leaves of a tree alone, and beside a mover in the tree `moved`: at a rate, or without pause."""
    alone, beside, refused, moves = [], [], 0.0, []
    for _ in range(TURNS):
        alone.append(_of_setters(installation, tree)["per_second"])
        with run_writers(installation, 1, moved, word="move", per_second=per_second) as mover:
            time.sleep(1)
            seen = _of_setters(installation, tree)
            moves.append(ended(mover)["per_second"])
        beside.append(seen["per_second"])
        refused += seen["refused"] + seen["others"]
    ratio = statistics.median(beside) / statistics.median(alone)
    mover_name = f"{per_second:g} moves a second" if per_second else "a mover without pause"
    return Result(
        f"sets on leaves of {name} beside {mover_name}",
        f"{statistics.median(beside):.0f}/s, {refused:.0f} refused, {statistics.median(moves):.0f} moves/s",
        f"alone {statistics.median(alone):.0f}/s", ratio, f"≥ {least} ×; none refused", ratio >= least and not refused,
        {"alone": alone, "beside": beside, "moves": moves, "refused": refused},
    )  # fmt: skip


def _of_setters(
    installation: Installation, tree: Any, *, until: Callable[[], object] | None = None
) -> dict[str, float]:
    with run_writers(installation, SETTERS, tree["leaves"]) as setters:
        (until or (lambda: time.sleep(SECONDS)))()
        return ended(setters)


def _evaluations(installation: Installation, tree: Any) -> Result:
    requests = [read_request(installation, leaf, FLAG_PATH) for leaf in tree["leaves"][:200]]
    read = lambda: percentile_99(paced(installation, requests, threading.Event(), SECONDS))  # noqa: E731
    idle, busy, beside = [], [], []
    for _ in range(TURNS):
        idle.append(read())
        with _busy_processors():
            busy.append(read())
        with (
            run_writers(installation, 1, tree, word="move") as mover,
            run_writers(installation, SETTERS, tree["leaves"]) as setters,
        ):
            time.sleep(1)
            beside.append(read())
            for each in (mover, setters):
                ended(each)
    ours, alone, among_others = (statistics.median(each) for each in (beside, idle, busy))
    return Result(
        "p99 of single evaluations beside a mover without pause and setters", f"{ours:.1f} ms",
        f"idle {alone:.1f} ms; beside programs that only compute {among_others:.1f} ms", ours / alone,
        f"≤ {MOST_P99:g} × idle", ours / alone <= MOST_P99, {"idle": idle, "busy": busy, "beside": beside},
    )  # fmt: skip


@contextmanager
def _busy_processors() -> Iterator[None]:
    """Keep as many processors busy as the machine has, with programs that have nothing to do with Flagsite."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _large_move(installation: Installation, tree: Any) -> Result:
    """Move a large subtree, as a job or in the request, and set flags on leaves of the same tree meanwhile."""
    ((size_of_tree,),) = installation.sql("SELECT max(descendant_count) FROM orgs_organization")
    ((top, size, parent),) = installation.sql(
        "SELECT id, descendant_count + 1, parent_id FROM orgs_organization"
        " WHERE parent_id IS NOT NULL AND descendant_count < %s ORDER BY descendant_count DESC LIMIT 1",
        [min(LARGE_SUBTREE, size_of_tree // 2)],
    )
    ((target,),) = installation.sql(
        "SELECT id FROM orgs_organization WHERE parent_id = %s AND id <> %s LIMIT 1", [tree["root"], top]
    )
    alone = _of_setters(installation, tree)["per_second"]
    seconds = 0.0

    def move() -> None:
        nonlocal seconds
        time.sleep(SECONDS_AROUND)
        began = time.monotonic()
        answer = installation.http.patch(f"/organizations/{top}", json={"parentId": target}).raise_for_status()
        if answer.status_code == 202:
            installation.wait(int(answer.json()["jobId"]))
        seconds = time.monotonic() - began
        time.sleep(SECONDS_AROUND)

    seen = _of_setters(installation, tree, until=move)
    ratio = seen["per_second"] / alone
    return Result(
        f"sets on leaves of the same tree while a subtree of {size:,} moves",
        f"{seen['per_second']:.0f}/s, {seen['refused']:.0f} refused, the slowest {seen['slowest']:.2f} s;"
        f" moved in {seconds:.1f} s",
        f"alone {alone:.0f}/s", ratio, f"≥ {MIN_SAME_TREE} ×; none refused",
        ratio >= MIN_SAME_TREE and not seen["refused"],
        {**seen, "alone": alone, "seconds": seconds, "organizations": size, "from": parent},
    )  # fmt: skip


def _wait_for_jobs(installation: Installation) -> None:
    while installation.sql("SELECT 1 FROM jobs_job WHERE status IN ('PENDING', 'IN_PROGRESS') LIMIT 1"):
        time.sleep(0.1)
