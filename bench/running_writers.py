"""Writers beside a measurement: `writers.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.installation import ROOT, Installation

LEAVES = 1000


def leaves_below(root: int) -> list[int]:
    """Return leaves of a tree that `Installation.create_trees` has made."""
    return list(range(root + 100, root + 100 + LEAVES))


@contextmanager
def run_writers(
    installation: Installation, count: int, organizations: Any, *, word: str = "set", per_second: float = 0
) -> Iterator[subprocess.Popen[str]]:
    """Run writers that obey Retry-After. `organizations`, `word` and `per_second` are those of `writers.py`."""
    key = str(installation.http.headers["Authorization"])
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.writers", str(installation.port), key, str(count), word, str(per_second)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps(organizations) + "\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(writers: subprocess.Popen[str]) -> dict[str, float]:
    """End the writers. Returns what they have seen."""
    return dict(json.loads(writers.communicate("end\n", timeout=60)[0]))
