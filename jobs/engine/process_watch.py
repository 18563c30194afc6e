"""End processes of a worker that do not stop although their job has taken too long.

A job ends by itself when its code calls `Run.check`. Code that hangs does not call it, and a thread of Python cannot
end another thread. So each child process writes into memory that it shares with the main process which job it runs and
until when it may run it. The main process ends a child that does not keep the time (`jobs.engine.watch_service`). This
works even if the child holds Python's interpreter lock, so that no other thread of the child runs.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

SLOTS = 1024
"""More than any worker has child processes."""
_SLOT = struct.Struct("qqd")  # the pid, the id of the job, and the monotonic time at which the process has to end
_slots = mmap.mmap(-1, SLOTS * _SLOT.size)  # anonymous, so that forked children share it


@dataclass(frozen=True, slots=True)
class Watched:
    """A process that runs a job which has a time limit."""

    pid: int
    job_id: int
    end_at: float
    """By the monotonic clock, which all processes of a machine share."""

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.end_at


def watch(job_id: int, end_at: float) -> None:
    """Let the main process end this process at `end_at`, by the monotonic clock, unless a later call changes that."""
    _write(_slot_of_this_process(), os.getpid(), job_id, end_at)


def unwatch() -> None:
    """Withdraw what `watch` has asked for."""
    _write(_slot_of_this_process(), 0, 0, 0.0)


def forget(pid: int) -> None:
    """Free the slot of a process that has ended."""
    for number in range(SLOTS):
        if _SLOT.unpack_from(_slots, number * _SLOT.size)[0] == pid:
            _write(number, 0, 0, 0.0)


def watched() -> Iterator[Watched]:
    """Return the processes that run a job with a time limit."""
    for number in range(SLOTS):
        pid, job_id, end_at = _SLOT.unpack_from(_slots, number * _SLOT.size)
        if pid:
            yield Watched(pid, job_id, end_at)


def _slot_of_this_process() -> int:
    """Return the slot with the pid of this process, or a free one.

    Two children may look for a free slot at the same time. So a child begins to look at a place that its pid decides.
    """
    pid = os.getpid()
    free = None
    for offset in range(SLOTS):
        number = (pid + offset) % SLOTS
        owner = _SLOT.unpack_from(_slots, number * _SLOT.size)[0]
        if owner == pid:
            return number
        if owner == 0 and free is None:
            free = number
    return pid % SLOTS if free is None else free


def _write(number: int, pid: int, job_id: int, end_at: float) -> None:
    _SLOT.pack_into(_slots, number * _SLOT.size, pid, job_id, end_at)
