"""How signals end a program in order. Only Python's main thread can say so; elsewhere these do nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit where nobody else handles them, so that `finally` blocks run."""
    ours = [one for one in ENDING if _in_main_thread() and signal.getsignal(one) == signal.SIG_DFL]
    for one in ours:
        signal.signal(one, _exit)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no impatient Ctrl-C interrupt a stop half-way; for blocks that end soon by themselves."""
    previous = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, *ENDING) if _in_main_thread()}
    try:
        yield
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
