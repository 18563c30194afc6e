"""Tell all processes of a worker that it has to stop.

The flag is one byte of memory that the main process shares with its forked children.
"""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)  # no lock: a child that is killed while it reads could never release it


def request_stop() -> None:
    """Ask the worker to stop. Its running jobs return to their queues after their current chunks."""
    _flag[0] = 1


def withdraw() -> None:
    """Withdraw the request. Only tests do this, because a worker that stops never continues."""
    _flag[0] = 0


def is_requested() -> bool:
    """Return whether the worker has to stop."""
    return _flag[0] == 1
