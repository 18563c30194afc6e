"""Whether this worker is being stopped: one byte of memory that the main process shares with its forked children."""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)  # without a lock, so that a child killed while reading leaves nothing held


def request_stop() -> None:
    """Ask every job of this worker to hand itself back at its next chunk."""
    _flag[0] = 1


def withdraw() -> None:
    """Forget the request; for tests, since a stopped worker does not go on."""
    _flag[0] = 0


def is_requested() -> bool:
    """Whether a stop was asked for."""
    return _flag[0] == 1
