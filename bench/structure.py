"""Changes of the tree: what one costs in trees of different sizes, and in the worst places."""

from __future__ import annotations

import json
from typing import Any

from bench.installation import Installation
from bench.report import Result

SIZES = (5_000, 239_000)
"""The sizes of the trees besides the number of rows."""
MOST_P50, MOST_P99, MOST_SINGLE, MOST_GROWTH = 20, 100, 200, 2.0
PROGRAM = "import django; django.setup(); from bench.tree_changes import run; run({})"


def structure(installation: Installation, rows: int) -> list[Result]:
    """Measure creations, moves and deletions in trees of three sizes, then in the worst places of the largest one."""
    figures: dict[int, dict[str, Any]] = {}
    for size in sorted({*(size for size in SIZES if size < rows), rows}):
        installation.clear()
        figures[size] = json.loads(
            installation.python(PROGRAM.format(f"{size}, worst={size == rows}")).splitlines()[-1]
        )
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
            "the fastest p50", growth, f"≤ {MOST_GROWTH:g}; p50 ≤ {MOST_P50}, p99 ≤ {MOST_P99} ms", reached,
            {str(size): one for size, one in measured.items()},
        ))  # fmt: skip
    for what, one in figures[rows]["worst"].items():
        results.append(Result(
            f"{what} in a tree of {rows:,}", f"{one['p50']} / {one['p99']}, longest {one['max']} ms",
            "the longest one", one["max"] / MOST_SINGLE, f"≤ {MOST_SINGLE} ms", one["max"] <= MOST_SINGLE, one,
        ))  # fmt: skip
    return results
