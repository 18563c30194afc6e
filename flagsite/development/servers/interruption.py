"""Ending a run of many processes, such as bin/test, by a signal to the first; no process stays behind."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

from flagsite.development.servers.exit_signals import EXIT_SIGNALS, exit_signals_ignored

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10  # seconds that the remaining processes have to stop in order


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C on a terminal does: the child processes get the signal too.

    After the block every process that they started is ended, also one in a session of its own.
    """
    defaults = {signal.SIG_DFL, signal.default_int_handler}
    ours = [one for one in (signal.SIGINT, *EXIT_SIGNALS) if signal.getsignal(one) in defaults]
    for one in ours:
        signal.signal(one, _interrupt)
    try:
        yield
    finally:
        with exit_signals_ignored():
            _end(psutil.Process().children(recursive=True))


def interrupt_once() -> None:
    """Let the first exit signal raise KeyboardInterrupt in this process, and ignore all later ones."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for one in (signal.SIGINT, *EXIT_SIGNALS):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in (signal.SIGINT, *EXIT_SIGNALS):
        signal.signal(one, interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    """Signal the processes that a terminal would signal, and become the parent of the orphans that they leave."""
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(child.pid) == os.getpgrp():
                child.send_signal(signal.SIGINT)
    raise KeyboardInterrupt


def _end(processes: list[psutil.Process]) -> None:
    """Ask the processes to stop; kill those that do not, and the orphans that became our children meanwhile."""
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
