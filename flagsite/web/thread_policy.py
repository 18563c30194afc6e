"""Which threads of a web process get the processor first: those that answer requests.

The server has a thread of its own that reads requests and sends answers. Each answer wakes it, and Linux then lets it
take the processor from a thread that answers and holds the interpreter's lock, so that all others of the process wait
for both. Where it does not, the same processors answer up to half as many requests again (docs/decisions/0005).
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress


class _Thread(threading.local):
    """What each thread knows of itself."""

    answers = False


_thread = _Thread()


def yield_to_other_threads() -> None:
    """Have this thread, and all that are started from it, take the processor from no other when they wake up."""
    if sys.platform == "linux":
        _follow(os.SCHED_BATCH)


def run_as_answering_thread() -> None:
    """Have this thread take the processor as any thread does: it answers requests."""
    if _thread.answers:
        return
    _thread.answers = True
    if sys.platform == "linux":
        _follow(os.SCHED_OTHER)


def _follow(policy: int) -> None:
    with suppress(OSError):  # a sandbox may forbid it, and nothing depends on it
        os.sched_setscheduler(0, policy, os.sched_param(0))
