"""A kind of job that does nothing, for processes with Django."""

from __future__ import annotations

from jobs.engine.kinds import job_kind
from jobs.engine.run import Run

KIND = "nothing"


@job_kind(KIND)
def nothing(run: Run) -> None:
    """Do nothing."""
