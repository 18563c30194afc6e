"""The registry of the kinds of jobs. Apps register the function that does the work of a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.errors import UnknownKind

Work = Callable[[Any], None]
"""A function with one argument, a `jobs.engine.run.Run`. Importing that class here would be a circular import."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: the function that does the work, and the queue in which its jobs wait."""

    name: str
    queue: str
    work: Work


_kinds: dict[str, JobKind] = {}


def job_kind(name: str, *, queue: str = "default") -> Callable[[Work], Work]:
    """Return a decorator that registers a function as the work of the kind `name`.

    The function gets a `jobs.engine.run.Run`. It reads `run.job`, calls `run.record_progress` in each of its short
    transactions and `run.check` between them, and returns when the work is done. If the function raises
    `PermanentFailure`, the chain ends at once. If it raises `NothingLeftToDo`, the job is COMPLETED with these words.
    After any other exception the attempt fails and the engine retries.
    """

    def register(work: Work) -> Work:
        _kinds[name] = JobKind(name, queue, work)
        return work

    return register


def known_kinds() -> list[str]:
    """Return the names of all kinds."""
    return sorted(_kinds)


def kind_named(name: str) -> JobKind:
    """Return the kind with this name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(f"No code is registered for jobs of the kind {name!r}.") from None
