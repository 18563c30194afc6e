"""How the time of a job grows with the size of its tree, and with the number of jobs at the same time."""

from __future__ import annotations

import math
import time
from pathlib import Path

import matplotlib as mpl

from bench.installation import Installation
from bench.report import Result

mpl.use("svg")
from matplotlib import pyplot as plt

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "growth.svg"


def growth(installation: Installation, rows: int) -> Result:
    """Flip trees of 1,000 to `rows` organizations, then one to four trees at once. Draws docs/growth.svg."""
    sizes = [10**power for power in range(3, int(math.log10(rows)) + 1)]
    single, parallel = {}, {}
    with installation.worker(concurrency=4):
        for size in sizes:
            (root,) = installation.create_trees(size)
            installation.flip(root)
            single[size] = min(installation.flip(root, enabled=number % 2 == 1) for number in range(2))
        each = max(1000, rows // 10)
        roots = installation.create_trees(each, trees=4)
        for root in roots:
            installation.flip(root)
        for jobs in range(1, 5):
            began = time.perf_counter()
            ids = [installation.set_flag(root, enabled=jobs % 2 == 0) for root in roots[:jobs]]
            for job_id in ids:
                installation.wait(job_id)
            parallel[jobs] = time.perf_counter() - began
    slope = math.log(single[sizes[-1]] / single[sizes[0]]) / math.log(sizes[-1] / sizes[0])
    per_job = parallel[4] / (4 * parallel[1])
    _draw(single, parallel, each)
    return Result(
        f"growth from 1,000 to {sizes[-1]:,}", f"time ~ n^{slope:.2f}; 4 jobs {per_job:.2f} × one after another",
        "linear", slope, "linear or better", slope <= 1.05 and per_job <= 1.05,
        {"seconds": single, "jobs_at_once": parallel, "organizations_each": each},
    )  # fmt: skip


def _draw(single: dict[int, float], parallel: dict[int, float], each: int) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), facecolor="white")
    left.loglog(single.keys(), single.values(), "o-", label="POST to COMPLETED")
    last = max(single)
    left.loglog(single.keys(), [single[last] * size / last for size in single], "--", color="gray", label="linear")
    left.set(xlabel="organizations below", ylabel="seconds", title="One flip")
    left.legend()
    right.plot(parallel.keys(), [jobs * each / seconds / 1000 for jobs, seconds in parallel.items()], "o-")
    right.set(xlabel="jobs at once, each on its own tree", ylabel="thousand organizations per second")
    right.set(title=f"{each:,} organizations each, 2 cores", xticks=list(parallel), ylim=(0, None))
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
