"""Ends a run of many processes by a signal to the first of them, and leaves none of them behind."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

from flagsite.development.servers.signals import ENDING, undisturbed

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10  # seconds that what is left has to stop in order


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C on a terminal does, which its processes hear of too.

    What they leave behind then, also in sessions of its own, is ended after the block.
    """
    defaults = {signal.SIG_DFL, signal.default_int_handler}
    ours = [one for one in (signal.SIGINT, *ENDING) if signal.getsignal(one) in defaults]
    for one in ours:
        signal.signal(one, _interrupt)
    try:
        yield
    finally:
        with undisturbed():
            _end(psutil.Process().children(recursive=True))


def interrupt_once() -> None:
    """Let the first of these signals raise KeyboardInterrupt in this process, and no other disturb what follows it."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for one in (signal.SIGINT, *ENDING):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in (signal.SIGINT, *ENDING):
        signal.signal(one, interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    """Tell those that a terminal would tell, and get what they leave behind for a child."""
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(child.pid) == os.getpgrp():
                child.send_signal(signal.SIGINT)
    raise KeyboardInterrupt


def _end(processes: list[psutil.Process]) -> None:
    """Ask them to stop, kill what does not, and what they have left to us meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(processes, timeout=PATIENCE)
    while left := [one for one in psutil.Process().children(recursive=True) if _lives(one)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
