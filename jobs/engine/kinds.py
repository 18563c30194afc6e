"""The registry of the kinds of jobs. Apps register the function that does the work of a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jobs.errors import UnknownKind
from orgs.access.caller import Caller
from orgs.access.models import Role

Work = Callable[[Any], None]
"""A function with one argument, a `jobs.engine.run.Run`. Importing that class here would be a circular import."""
DEFAULT_ATTEMPT_SECONDS = float(settings.DEFAULT_JOB_TIMEOUT)
"""How long one attempt of a kind of limited length may take."""
DEFAULT_STALL_SECONDS = 600.0
"""How long an attempt of a kind that works in short transactions may go on without progress."""
NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
"""The schema of a kind that needs no arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """A kind of job: the function that does the work, the queue in which its jobs wait, and its limits."""

    name: str
    queue: str
    work: Work
    summary: str = ""
    """What the work does, in one sentence for people."""
    arguments: Mapping[str, Any] | None = None
    """The JSON schema of the arguments; None if only Flagsite's own code creates jobs of this kind."""
    of_organization: bool = False
    """Whether a job works for one organization and everything below it, so that a bound caller may enqueue it."""
    attempt_seconds: float | None = None
    """How long one attempt may take; None means without limit."""
    stall_seconds: float | None = None
    """How long an attempt may go on without recording progress; None means without limit."""
    concurrency_key: Callable[[int | None, Mapping[str, Any]], str] | None = None
    """Gives the concurrency key of a job from the id of its organization and its arguments."""
    key_limit: int = 1
    """How many jobs with the same concurrency key may run at the same time."""
    unique_key: Callable[[Mapping[str, Any]], str] | None = None
    """Gives the unique key of an enqueued job from its arguments, unless the request names one. It holds while the job
    is open."""
    check: Callable[[Caller, int | None, Mapping[str, Any]], None] | None = None
    """Refuses a request that its requester may not make, or that cannot succeed, with an error that the requester sees.

    Its arguments are the requester, the id of the organization and the arguments. The work has to check again."""
    created: Callable[[Any], None] | None = None
    """Called with each job that is enqueued or that is a member of a batch, in the transaction that creates it."""
    retry_waits: tuple[float, ...] | None = None
    """The seconds before each automatic retry; None means the retries and the backoff of the queue."""
    on_end: Callable[[Any, str], None] | None = None
    """Called with the job and the status of its chain, in the transaction in which the chain ends."""
    follows_success: Callable[[], bool] = lambda: True
    """Whether `on_end` has something to do if the chain is COMPLETED. If not, such a chain ends with one statement."""
    is_told: bool = True
    """Whether a chain that fails is an event (`job.failed`)."""
    continues: bool = False
    """Whether a retry goes on at the checkpoint of the attempt before, because a repetition would not be harmless."""

    check_arguments: Callable[[Mapping[str, Any]], None] | None = None
    """Raises InvalidJobArguments for arguments that the schema cannot refuse."""
    page: str = ""
    """The name of the URL of the admin page about a chain of this kind, which takes the first job's id."""
    page_role: Role = Role.OPERATOR
    """The role that somebody needs to see this page, if `role` names no higher one."""
    role: Callable[[Mapping[str, Any]], Role | None] | None = None
    """Gives the role that somebody needs to enqueue a job with these arguments, if operator is not enough."""

    def role_for(self, arguments: Mapping[str, Any]) -> Role | None:
        """Return the role that a job with these arguments needs, if it is more than that of an operator."""
        return self.role(arguments) if self.role else None

    @property
    def argument_names(self) -> frozenset[str]:
        """The names of the arguments in the schema."""
        return frozenset((self.arguments or {}).get("properties", {}))


_kinds: dict[str, JobKind] = {}


def job_kind(name: str, *, queue: str = "default", **limits: Any) -> Callable[[Work], Work]:
    """Return a decorator that registers a function as the work of the kind `name`.

    The function gets a `jobs.engine.run.Run`. It reads `run.job`, calls `run.record_progress` in each of its short
    transactions and `run.check` between them, and returns when the work is done. If the function raises
    `PermanentFailure`, the chain ends at once. If it raises `NothingLeftToDo`, the job is COMPLETED with these words.
    After any other exception the attempt fails and the engine retries.

    `limits` are further fields of `JobKind`. With `arguments`, people and programs may enqueue jobs of the kind.

    The decorator raises ImproperlyConfigured if another function is the work of a kind with this name. A module may be
    loaded again.
    """

    def register(work: Work) -> Work:
        known = _kinds.get(name)
        if known is not None and _path_of(known.work) != _path_of(work):
            raise ImproperlyConfigured(
                f"Two functions want to be the work of the kind of job {name!r}: {_path_of(known.work)} and "
                f"{_path_of(work)}. Give one of them another name."
            )
        _kinds[name] = JobKind(name=name, queue=queue, work=work, **limits)
        return work

    return register


def _path_of(work: Work) -> str:
    return f"{work.__module__}.{work.__qualname__}"


def known_kinds() -> list[str]:
    """Return the names of all kinds."""
    return sorted(_kinds)


def enqueueable_kinds() -> list[JobKind]:
    """Return the kinds that people and programs may enqueue, in the order of their names."""
    return [_kinds[name] for name in known_kinds() if _kinds[name].arguments is not None]


def attempt_limits() -> dict[str, float]:
    """Return how many seconds one attempt may take, by kind, without the kinds that have no limit."""
    return {kind.name: kind.attempt_seconds for kind in _kinds.values() if kind.attempt_seconds}


def kinds_of(queue: str) -> list[JobKind]:
    """Return the kinds whose jobs wait in the queue, unless their creation names another one."""
    return [kind for kind in _kinds.values() if kind.queue == queue]


def find_kind(name: str) -> JobKind | None:
    """Return the kind with this name, or None if no code is registered for it."""
    return _kinds.get(name)


def kind_named(name: str) -> JobKind:
    """Return the kind with this name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(no_code_for(name)) from None


def no_code_for(name: str) -> str:
    """Return what UnknownKind says of a kind that this process does not know."""
    return f"No code is registered for jobs of the kind {name!r}."
