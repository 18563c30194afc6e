"""Who acts and by which door: found out where a request, a command or a message comes in, and kept beside the call.

So the functions between need not hand it on to the history and the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

LONGEST_REASON = 1_000
"""Characters that a person may give as a reason, through whichever channel."""


@dataclass(frozen=True, slots=True)
class Origin:
    """By which door an action comes in (api, admin, command, worker), and from which address."""

    via: str = "worker"
    address: str = ""

    @property
    def is_request(self) -> bool:
        """Whether somebody waits at the other end of a connection, and a thread of a web process with them."""
        return self.via in {"api", "admin"}


NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


@contextmanager
def coming_from(via: str, address: str = "", *, actor: str | None = None) -> Iterator[None]:
    """Whatever is recorded inside came through this door, by this actor unless the deed names another."""
    token = _origin.set(Origin(via, address[:64]))
    try:
        with structlog.contextvars.bound_contextvars(**({"caller": actor} if actor else {})):
            yield
    finally:
        _origin.reset(token)


def current() -> Origin:
    """By which door we came in."""
    return _origin.get()


def actor() -> str:
    """Who acts now, as the door has found out; "system" for what nobody asked for."""
    return str(structlog.contextvars.get_contextvars().get("caller") or "system")


def correlation_id() -> str:
    """The id of the request that all this is done for; empty where there is none."""
    return str(structlog.contextvars.get_contextvars().get("correlationId", ""))
