"""Kinds of jobs that hang, for workers that are started with --include and the name of this module."""

from __future__ import annotations

import re
import time

from jobs.engine import time_limits
from jobs.engine.kinds import job_kind
from jobs.engine.run import Run

time_limits.GRACE_SECONDS = 1.0


@job_kind("sleep-of-a-test", attempt_seconds=1.0)
def sleep(run: Run) -> None:
    """Sleep in a system call; the second attempt ends well."""
    if not run.job.parent_job_id:
        time.sleep(300)


@job_kind("spin-of-a-test", stall_seconds=1.0)
def spin(run: Run) -> None:
    """Hold the interpreter lock in a regular expression that takes for ever; the second attempt ends well."""
    if not run.job.parent_job_id:
        re.match(r"(a|a)*b", "a" * 60)
