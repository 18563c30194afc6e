"""The engine under load: claims with and without limits, and many small changes from 8 clients at once."""

from __future__ import annotations

from collections.abc import Iterator

from bench import client, empty_jobs
from bench.installation import Installation
from bench.report import Result, say

JOBS = 2_000
WORKERS = (1, 4)
"""Numbers of slots."""
UNLIMITED = "UPDATE jobs_queue SET concurrency = NULL, rate_allowed = NULL, rate_seconds = 60 WHERE name = 'default'"
LIMITED = "UPDATE jobs_queue SET concurrency = 100, rate_allowed = 1000000, rate_seconds = 1 WHERE name = 'default'"
FILL = """
INSERT INTO jobs_job (kind, queue) SELECT 'nothing', 'default' FROM generate_series(1, %s)
"""
MOST_FOR_LIMITS = 1.2
TREES, DESCENDANTS, CHANGES = 200, 10, 1_000
CLIENTS, SLOTS = 8, 2
MIN_POSTS, MIN_PROPAGATIONS = 250, 150
ENDED = "SELECT count(*) FROM jobs_job WHERE kind = 'propagation' AND status = 'COMPLETED' AND total = %s"
RATE = """
SELECT count(*) / extract(epoch FROM max(completed_at) - min(started_at))::float8 FROM jobs_job
 WHERE kind = 'propagation' AND total = %s
"""


def claims(installation: Installation, rows: int) -> list[Result]:
    """Measure how many empty jobs are claimed and ended in a second, by 1 and 4 slots, with and without limits.

    A queue with limits has a concurrency and a rate that hold no job back.
    """
    installation.create_trees(1, 1)
    return [_claims(installation, slots, min(JOBS, rows)) for slots in WORKERS]


def _claims(installation: Installation, slots: int, jobs: int) -> Result:
    """Take turns on the same worker, so that both measure the same machine."""
    rates: dict[str, list[float]] = {UNLIMITED: [], LIMITED: []}
    with installation.worker(slots, include="bench.empty_kind", keep=True):
        for turn in range(5):
            for settings, measured in rates.items():
                installation.sql("TRUNCATE jobs_job CASCADE")
                installation.sql(settings)
                installation.sql(FILL, [jobs])
                empty_jobs.wait(installation, empty_jobs.KIND, jobs)
                if turn:  # in the first one the worker starts
                    measured.append(float(installation.sql(empty_jobs.RATE, [empty_jobs.KIND])[0][0]))
            limits_off, limits_on = (each[-1:] for each in rates.values())
            say(f"{slots} slots, turn {turn}: a second without limits {limits_off}, with limits {limits_on}")
    installation.sql(UNLIMITED)
    plain, limited = (sorted(rates[settings])[len(rates[settings]) // 2] for settings in (UNLIMITED, LIMITED))
    return Result(
        f"claims by {slots} slots, with concurrency and rate", f"{limited:,.0f}/s", f"without limits {plain:,.0f}/s",
        plain / limited, f"≤ {MOST_FOR_LIMITS}", plain / limited <= MOST_FOR_LIMITS,
        {"plain": rates[UNLIMITED], "limited": rates[LIMITED]},
    )  # fmt: skip


def small_changes(installation: Installation, rows: int) -> list[Result]:
    """Measure POSTs on parents by 8 clients while no worker runs, and then two slots that carry the changes down."""
    roots = installation.create_trees(DESCENDANTS, TREES)
    client.run(installation.port, _requests(installation, roots[:20]), connections=CLIENTS)
    installation.sql("TRUNCATE jobs_job CASCADE")
    posts = client.run(installation.port, _requests(installation, roots), connections=CLIENTS)
    assert set(posts.statuses) == {202}, posts.statuses
    total = DESCENDANTS + 1
    with installation.worker(SLOTS, keep=True):
        installation.until(lambda found: found[0][0] >= CHANGES, ENDED, [total])
    ((propagated,),) = installation.sql(RATE, [total])
    return [
        Result(
            f"POST on a parent by {CLIENTS} clients", f"{posts.per_second:,.0f}/s",
            f"p50 {posts.percentile(0.5):.0f}, p99 {posts.percentile(0.99):.0f} ms", posts.per_second / MIN_POSTS,
            f"≥ {MIN_POSTS}/s", posts.per_second >= MIN_POSTS,
        ),
        Result(
            f"propagations to {DESCENDANTS} descendants", f"{propagated:,.0f}/s", f"{CHANGES:,} by {SLOTS} slots",
            propagated / MIN_PROPAGATIONS, f"≥ {MIN_PROPAGATIONS}/s", propagated >= MIN_PROPAGATIONS,
        ),
    ]  # fmt: skip


def _requests(installation: Installation, roots: list[int]) -> Iterator[bytes]:
    key = installation.http.headers["Authorization"].removeprefix("Bearer ")
    for number in range(CHANGES):
        value = "true" if number // len(roots) % 2 else "false"
        yield client.post(installation.port, f"/{roots[number % len(roots)]}/bench/{value}", key, b"")
