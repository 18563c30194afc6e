"""What each kind of job does: a registry that the apps above fill. The engine knows nothing else of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.engine.models import Job
from jobs.errors import UnknownKind

Work = Callable[[Any], None]
"""A function of one `jobs.engine.run.Run`, which this module cannot import: a run is made of what a kind starts."""
Describe = Callable[[Job], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: the function that does the work, and the queue it waits in."""

    name: str
    queue: str
    work: Work


_kinds: dict[str, JobKind] = {}


def job_kind(name: str, *, queue: str = "default") -> Callable[[Work], Work]:
    """Register the decorated function as the work of jobs of this kind.

    It gets a `jobs.engine.run.Run`: reads `run.job`, calls `run.record_progress` in each of its short transactions and
    `run.check` between them, and returns when all is done. `PermanentFailure` ends the chain at once; any other
    exception fails the attempt, and the engine retries.
    """

    def register(work: Work) -> Work:
        _kinds[name] = JobKind(name, queue, work)
        return work

    return register


def kind_named(name: str) -> JobKind:
    """The kind of that name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(f"No code is registered for jobs of the kind {name!r}.") from None
