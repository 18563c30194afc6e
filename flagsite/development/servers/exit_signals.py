"""Ending a program in order when a signal comes.

Python sets signal handlers in the main thread only. In another thread these functions do nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""The signals, besides Ctrl-C, that ask a program to end."""


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that `finally` blocks run; a handler that is set already stays."""
    ours = [one for one in EXIT_SIGNALS if _in_main_thread() and signal.getsignal(one) == signal.SIG_DFL]
    for one in ours:
        signal.signal(one, _exit)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def exit_signals_ignored() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP inside the block. For a stop that must not be interrupted and is over soon."""
    previous = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, *EXIT_SIGNALS) if _in_main_thread()}
    try:
        yield
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
