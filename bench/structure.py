"""Changes of the tree: what one costs in trees of different sizes, and in the worst places."""

from __future__ import annotations

import json
from typing import Any

from bench import peer_programs
from bench.installation import Installation
from bench.peer_programs import Peer
from bench.report import Result

SIZES = (5_000, 239_000)
"""The sizes of the trees besides the number of rows."""
MOST_P50, MOST_P99, MOST_SINGLE, MOST_GROWTH = 20, 100, 200, 2.0
PEERS = {"django-mptt": "mptt", "treebeard's paths": "paths", "treebeard's nested sets": "nested"}
"""Other libraries for trees, with the word for `plain_trees.py`."""
PARENTS = "import django; django.setup(); from bench.tree_changes import write_parents; write_parents({}, {!r})"
PROGRAM = "import django; django.setup(); from bench.tree_changes import run; run({})"


def structure(installation: Installation, rows: int) -> list[Result]:
    """Measure creations, moves and deletions in trees of three sizes, then in the worst places of the largest one."""
    figures: dict[int, dict[str, Any]] = {}
    for size in sorted({*(size for size in SIZES if size < rows), rows}):
        installation.clear()
        figures[size] = json.loads(
            installation.python(PROGRAM.format(f"{size}, worst={size == rows}")).splitlines()[-1]
        )
        figures[size]["peers"] = _peers(installation, size)
    results = []
    for what in ("create", "move", "delete"):
        measured = {size: figures[size][what] for size in figures}
        growth = max(one["p50"] for one in measured.values()) / min(one["p50"] for one in measured.values())
        reached = growth <= MOST_GROWTH and all(
            one["p50"] <= MOST_P50 and one["p99"] <= MOST_P99 for one in measured.values()
        )
        results.append(Result(
            f"{what} in trees of {', '.join(f'{size:,}' for size in measured)}",
            "; ".join(f"{one['p50']} / {one['p99']} ms" for one in measured.values()),
            _words_of_peers(figures, what), growth,
            f"≤ {MOST_GROWTH:g}; p50 ≤ {MOST_P50}, p99 ≤ {MOST_P99} ms", reached,
            {str(size): one for size, one in measured.items()},
        ))  # fmt: skip
    for what, one in figures[rows]["worst"].items():
        results.append(Result(
            f"{what} in a tree of {rows:,}", f"{one['p50']} / {one['p99']}, longest {one['max']} ms",
            "the longest one", one["max"] / MOST_SINGLE, f"≤ {MOST_SINGLE} ms", one["max"] <= MOST_SINGLE, one,
        ))  # fmt: skip
    return [*results, _growth_of_table(figures[rows]["table"])]


def _growth_of_table(table: dict[str, dict[str, int]]) -> Result:
    """The size of the table and its indexes after the random moves, while PostgreSQL vacuums as it likes."""
    before, after = table["before"], table["after"]
    megabytes = [(one["table"] + one["indexes"]) / 1e6 for one in (before, after)]
    updates, heap_only = (after[name] - before[name] for name in ("updates", "heap_only"))
    ratio = megabytes[1] / megabytes[0]
    return Result(
        "the table of organizations and its indexes after these moves",
        f"{megabytes[1]:.0f} MB; {heap_only / max(1, updates):.0%} of {updates:,} updates without index entries",
        f"{megabytes[0]:.0f} MB before", ratio, f"≤ {MOST_GROWTH:g} ×", ratio <= MOST_GROWTH, table,
    )  # fmt: skip


def _peers(installation: Installation, size: int) -> dict[str, Any]:
    """Measure the other libraries with the same tree."""
    file = installation.folder / "temporary" / "parents"
    installation.python(PARENTS.format(size, str(file)))
    peers = {name: Peer(name, "plain_trees") for name in PEERS}
    return {name: peer_programs.run(installation, peer, PEERS[name], file, size) for name, peer in peers.items()}


def _words_of_peers(figures: dict[int, dict[str, Any]], what: str) -> str:
    """Return the p50 of the other libraries, from the smallest tree to the largest."""
    lines = []
    for name in PEERS:
        medians = (f"{figures[size]['peers'][name][what]['p50']:,.0f}" for size in figures)
        lines.append(f"{name} {' / '.join(medians)} ms")
    return "; ".join(lines)
