"""Figures that must not grow with the tree: the answer to a POST, the worker's memory, the table of flag states."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.installation import Installation
from bench.report import Result

REQUESTS = 300


def posting(installation: Installation, rows: int) -> Result:
    """Measure a POST on a parent with few and with many descendants. No worker runs; the machine is idle."""
    p50, p99 = {}, {}
    for descendants in (10, min(rows, 10_000), rows):
        (root,) = installation.create_trees(descendants)
        times = []
        for number in range(REQUESTS + 20):
            began = time.perf_counter()
            installation.set_flag(root, enabled=number % 2 == 0)
            times.append((time.perf_counter() - began) * 1000)
        times = sorted(times[20:])
        p50[descendants], p99[descendants] = times[len(times) // 2], times[int(len(times) * 0.99)]
    growth = p50[rows] / p50[10]
    return Result(
        "POST on a parent: p50, p99", ", ".join(f"{p50[n]:.0f}/{p99[n]:.0f} ms" for n in p50),
        "with " + ", ".join(f"{n:,}" for n in p50), growth, "no growth, p99 < 50 ms",
        growth < 1.3 and max(p99.values()) < 50, {"p50": p50, "p99": p99},
    )  # fmt: skip


def memory(installation: Installation, rows: int) -> Result:
    """Measure the peak memory of the worker's child that runs the job, with few and with many descendants."""
    peaks = {}
    for descendants in (min(rows, 10_000), rows):
        with installation.worker() as worker:
            (root,) = installation.create_trees(descendants)
            installation.flip(root)
            peaks[descendants] = max(_peak(child) for child in _children(worker))
    small, large = peaks.values() if len(peaks) > 1 else (list(peaks.values()) * 2)
    return Result(
        "worker's peak memory", f"{large:.0f} MB", f"with {min(rows, 10_000):,}: {small:.0f} MB", large / small,
        "≤ 30 MB more", large - small <= 30, {"megabytes": peaks},
    )  # fmt: skip


def states(installation: Installation, rows: int) -> Result:
    """Compare the size of the table of flag states and its index before and after ten flips of all rows."""
    size = "SELECT pg_table_size('flags_flagstate') / 1048576.0, pg_indexes_size('flags_flagstate') / 1048576.0"
    counts = "SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'flags_flagstate'"
    with installation.worker():
        (root,) = installation.create_trees(rows)
        installation.flip(root)
        table, index = map(float, installation.sql(size)[0])
        updated, hot, _ = installation.sql(counts)[0]
        for number in range(10):
            installation.flip(root, enabled=number % 2 == 1)
        time.sleep(1)
        table_after, index_after = map(float, installation.sql(size)[0])
        updated_after, hot_after, dead = installation.sql(counts)[0]
    share = (hot_after - hot) / max(1, updated_after - updated)
    return Result(
        f"10 flips of {rows:,} rows", f"{table_after:.0f} MB + {index_after:.0f} MB index",
        f"before: {table:.0f} + {index:.0f} MB", share, "≥ 0.9 of the updates heap-only", share >= 0.9,
        {"heap_only_share": share, "dead_rows": dead, "bytes_per_row": table_after * 1048576 / rows},
    )  # fmt: skip


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _peak(pid: int) -> float:
    """The peak memory of a process in megabytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
