"""Who acts, through which channel, and for which request: said once where an action comes in.

Middleware, commands and workers say it here; the audit log and the log lines read it here, so that the functions
between need not pass it on. The log's own context (structlog's) is another one: clearing it changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

LONGEST_REASON = 1_000
"""Characters that a person may give as a reason, through whichever channel."""
LONGEST_ADDRESS = 64
"""Characters of a client's address that are kept."""

SYSTEM = "system"
"""The actor of what nobody asked for, such as a worker's own work. Code says so explicitly."""
UNKNOWN = "unknown"
"""The actor and the channel as long as no code has said them."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """Who acts (`user:alice`, `key:4fG6aB nightly-sync`), through which channel and from which address.

    The channel is api, admin, command, worker or schedule. The correlation id is the request's or the command's; it is
    empty where there is none.
    """

    actor: str = UNKNOWN
    channel: str = UNKNOWN
    address: str = ""
    correlation_id: str = ""

    @property
    def has_actor(self) -> bool:
        """Whether code has said who acts."""
        return self.actor != UNKNOWN

    @property
    def is_request(self) -> bool:
        """Whether a client waits at the other end of a connection, and a thread of a web process with it."""
        return self.channel in {"api", "admin"}


NOBODY = ActionContext()
"""As long as no code has said anything."""
_context: ContextVar[ActionContext] = ContextVar("action_context", default=NOBODY)


@contextmanager
def acting(
    channel: str, *, actor: str | None = None, address: str = "", correlation_id: str | None = None
) -> Iterator[None]:
    """Whatever is done inside comes through this channel; afterwards everything is as it was before.

    An actor or a correlation id that is not given stays the one from outside.
    """
    outside = _context.get()
    inside = ActionContext(
        actor=outside.actor if actor is None else actor,
        channel=channel,
        address=address[:LONGEST_ADDRESS],
        correlation_id=outside.correlation_id if correlation_id is None else correlation_id,
    )
    token = _context.set(inside)
    try:
        yield
    finally:
        _context.reset(token)


def identify(actor: str) -> None:
    """Name the actor once it is known, as after a request's authentication; the `acting` around it forgets it again."""
    _context.set(replace(_context.get(), actor=actor))


def current() -> ActionContext:
    """Who acts now, and how."""
    return _context.get()
