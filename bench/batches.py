"""A batch against as many single jobs: from the first creation to the last end, with two slots that run meanwhile.

Batch and single jobs take turns on the same worker, so that whatever else the machine does concerns both.
"""

from __future__ import annotations

from statistics import median

from bench.installation import Installation
from bench.report import Result, say

KIND = "nothing"
"""The kind in `bench.empty_kind`, which only processes with Django can import."""
MEMBERS = 10_000
TURNS = 3
SLOTS = 2
BEFORE = "import django, json; django.setup()\nfrom bench.empty_kind import KIND\nfrom flagsite.core import actor\n"
SINGLE_JOBS = f"""{BEFORE}
from jobs.engine import lifecycle
with actor.acting("worker", actor=actor.SYSTEM):
    for _ in range(MEMBERS):
        lifecycle.create(kind=KIND)
"""
BATCH = f"""{BEFORE}
from jobs.batches.creation import Member, create_batch
with actor.acting("worker", actor=actor.SYSTEM):
    create_batch("bench", [Member(kind=KIND) for _ in range(MEMBERS)])
"""
STATUSES = "SELECT status, count(*) FROM jobs_job WHERE kind = %s GROUP BY status"
TIMES = """
SELECT extract(epoch FROM max(completed_at) - min(created_at))::float8,
       extract(epoch FROM max(completed_at) - min(started_at))::float8 FROM jobs_job WHERE kind = %s
"""
OUTCOMES = "SELECT outcome, succeeded FROM jobs_batch"


def batches(installation: Installation, rows: int) -> Result:
    """Measure single jobs, and then a batch of as many members, TURNS times; all of them do nothing.

    They are MEMBERS, or `rows` if that is less.
    """
    members = min(MEMBERS, rows)
    installation.create_trees(1, 1)
    singles, batches, outcomes = [], [], set()
    with installation.worker(SLOTS, include="bench.empty_kind", keep=True):
        _run(installation, SINGLE_JOBS, members)  # meanwhile the worker starts
        for turn in range(TURNS):
            singles.append(_run(installation, SINGLE_JOBS, members))
            batches.append(_run(installation, BATCH, members))
            say(f"turn {turn}: single jobs {singles[-1]}, batch {batches[-1]}")
            outcomes |= set(installation.sql(OUTCOMES))
    ratio = median(batch["seconds"] / single["seconds"] for batch, single in zip(batches, singles, strict=True))
    return Result(
        f"batch of {members:,} members, end to end", f"{median(each['seconds'] for each in batches):.1f} s",
        f"single jobs {median(each['seconds'] for each in singles):.1f} s",
        ratio, "≤ 1.1", ratio <= 1.1 and outcomes == {("SUCCEEDED", members)}, {"single": singles, "batch": batches},
    )  # fmt: skip


def _run(installation: Installation, program: str, members: int) -> dict[str, float]:
    """Return the seconds from the first creation to the last end, and those from the first start to the last end."""
    installation.sql("TRUNCATE jobs_batch, jobs_job CASCADE")
    installation.python(f"MEMBERS = {members}\n{program}")
    installation.until(lambda found: dict(found) == {"COMPLETED": members}, STATUSES, [KIND])
    ((seconds, running),) = installation.sql(TIMES, [KIND])
    return {"seconds": seconds, "running": running}
