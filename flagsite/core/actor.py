"""The action context: the actor, the channel, the reason and the correlation id of the current action.

Middleware, endpoints, commands and workers set the context where an action comes in. The audit log and the log read
it, so that the functions between need not pass it on. The log's own context (structlog's) is separate: clearing it
changes nothing here.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from time import monotonic

MAX_REASON_LENGTH = 1_000
"""The maximum number of characters of a reason, for all channels."""
MAX_ADDRESS_LENGTH = 64
"""The number of characters of a client's address that Flagsite keeps."""

SYSTEM = "system"
"""The actor of actions that no person or program requested, such as a worker's own work. Code sets it explicitly."""
UNKNOWN = "unknown"
"""The actor and the channel as long as no code has set them."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The actor (`user:alice`, `key:4fG6aB nightly-sync`), the channel and the client's address of an action.

    The channel is api, admin, command, worker or schedule. The correlation id is the id of the request or of the
    command. It is empty if there is none. The reason is the one that the actor gave; it is empty if there is none.
    `came_at` is the monotonic time at which a web request had come in; contexts that differ in it only are equal.
    """

    actor: str = UNKNOWN
    channel: str = UNKNOWN
    address: str = ""
    correlation_id: str = ""
    reason: str = ""
    came_at: float = field(default=0.0, compare=False)

    @property
    def has_actor(self) -> bool:
        """Whether code has set the actor."""
        return self.actor != UNKNOWN

    @property
    def is_request(self) -> bool:
        """Whether the action is a web request, so that a client and a thread of a web process wait for its end."""
        return self.channel in {"api", "admin"}


UNKNOWN_CONTEXT = ActionContext()
"""The context as long as no code has set one."""
_context: ContextVar[ActionContext] = ContextVar("action_context", default=UNKNOWN_CONTEXT)


@contextmanager
def acting(
    channel: str,
    *,
    actor: str | None = None,
    address: str = "",
    correlation_id: str | None = None,
    reason: str | None = None,
    came_at: float | None = None,
) -> Iterator[None]:
    """Set the context for the block. After the block, the former context is valid again.

    Without `actor`, `correlation_id` or `reason`, the one of the former context stays. Without `came_at`, the action
    comes in now.
    """
    outside = _context.get()
    inside = ActionContext(
        actor=outside.actor if actor is None else actor,
        channel=channel,
        address=address[:MAX_ADDRESS_LENGTH],
        correlation_id=outside.correlation_id if correlation_id is None else correlation_id,
        reason=outside.reason if reason is None else reason,
        came_at=monotonic() if came_at is None else came_at,
    )
    token = _context.set(inside)
    try:
        yield
    finally:
        _context.reset(token)


def identify(actor: str) -> None:
    """Set the actor, for example after the authentication of a request. The end of the `acting` block resets it."""
    _context.set(replace(_context.get(), actor=actor))


def give_reason(reason: str) -> None:
    """Set the reason of the action, for its audit entries. The end of the `acting` block resets it."""
    _context.set(replace(_context.get(), reason=reason))


def command_actor() -> str:
    """Return the actor of a command: the operating system's user and host, as in `command:root@host`."""
    return f"command:{getpass.getuser()}@{socket.gethostname()}"


def current() -> ActionContext:
    """Return the current action context."""
    return _context.get()
