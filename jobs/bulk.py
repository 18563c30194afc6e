"""Doing the same to many jobs because a person asked: retry, cancel, another priority."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from jobs import operations
from jobs.errors import FlagsiteError, JobEnded, JobNotFound, NotCancellable, NotRetryable
from jobs.models import Job
from jobs.states import Status

AT_ONCE = 1_000
"""So many jobs are done in one request; who has more asks again."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a person does to a job, and the words for it."""

    name: str
    done: str
    explained: str
    act: Callable[..., Job]


DEEDS = {
    deed.name: deed
    for deed in (
        Deed("retry", "retried", "A new round of attempts begins in each job's chain.", operations.retry),
        Deed("cancel", "cancelled", "What waits ends at once, what runs at its next chunk; what was written stays.",
             operations.cancel),
        Deed("priority", "given another priority", "Of the jobs that wait, the highest priority starts first.",
             operations.set_priority),
    )
}  # fmt: skip
WHY_NOT = {
    ("retry", Status.PENDING): "were under way already",
    ("retry", Status.IN_PROGRESS): "were under way already",
    ("retry", Status.CANCELLED): "had been cancelled; such a request is sent anew",
    ("retry", Status.COMPLETED): "had completed; there was nothing to retry",
}


@dataclass(slots=True)
class Done:
    """To how many jobs it was done, and how many were passed over for which reason."""

    count: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def do_to_each(job_ids: Iterable[int], deed: Deed, *, by: str, reason: str = "", priority: int | None = None) -> Done:
    """Do it to each job in a transaction of its own; what cannot be done is counted with its reason.

    Several jobs of one chain count once each, though after the first the others find it done.
    """
    act = partial(deed.act, priority=priority) if deed.name == "priority" else deed.act
    done = Done()
    for job_id in job_ids:
        try:
            act(job_id=job_id, by=by, reason=reason)
            done.count += 1
        except (NotRetryable, NotCancellable, JobEnded) as error:
            done.skipped[_why_not(deed, error)] += 1
        except JobNotFound:
            done.skipped["were gone"] += 1
    return done


def _why_not(deed: Deed, error: FlagsiteError) -> str:
    status = str(error.context.get("status", ""))
    return WHY_NOT.get((deed.name, Status(status)) if status else ("", Status.PENDING), f"were {status} already")
