"""The promise of a thread that it never waits for the database or for another thread, such as of an event loop.

Code that would have to wait raises `MustWait` there, and whoever catches it lets another thread do the work.
"""

from __future__ import annotations

import threading
from typing import NoReturn

from django.db import connections


class MustWait(Exception):
    """The work needs the database or another thread, and this thread has promised to wait for neither."""


class _Promise(threading.local):
    is_given = False


_promise = _Promise()


def promise() -> None:
    """Let this thread wait for nothing from now on; it cannot use a connection to the database either."""
    _promise.is_given = True
    for connection in connections.all():
        for name in ("connect", "ensure_connection", "cursor"):
            setattr(connection, name, _refuse)


def check() -> None:
    """Raise MustWait in a thread that has promised not to wait. Call this before a lock that is held for long."""
    if _promise.is_given:
        raise MustWait


def _refuse(*_: object) -> NoReturn:
    raise MustWait
