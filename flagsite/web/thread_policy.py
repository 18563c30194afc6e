"""Linux's scheduling policy for the threads of a web process. It keeps threads that answer from being interrupted.

The server (granian) has a thread of its own that reads requests and sends answers. Every answer wakes that thread. By
default Linux then gives it the processor of a thread that is answering. The interrupted thread still holds Python's
global lock, so every other thread of the process waits for both. Under the policy SCHED_BATCH a thread that wakes up
waits until a processor is free (https://man7.org/linux/man-pages/man7/sched.7.html). With it, two busy processors
answer a third to a half more requests (docs/decisions/0005).

`WEB_TUNING=false` turns this off.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from django.conf import settings


class _ThreadState(threading.local):
    """Data of each thread."""

    answers_requests = False


_thread = _ThreadState()


def yield_to_other_threads() -> None:
    """Let this thread, and every thread started from it, wait for a free processor when it wakes up."""
    if sys.platform == "linux":
        _set_policy(os.SCHED_BATCH)


def run_as_answering_thread() -> None:
    """Give this thread Linux's usual policy, because it answers requests. Further calls cost almost nothing."""
    if _thread.answers_requests:
        return
    _thread.answers_requests = True
    if sys.platform == "linux":
        _set_policy(os.SCHED_OTHER)


def _set_policy(policy: int) -> None:
    if settings.WEB_TUNING:
        with suppress(OSError):  # a sandbox may forbid it; Flagsite works without it
            os.sched_setscheduler(0, policy, os.sched_param(0))
