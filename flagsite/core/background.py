"""Background services: threads that repeat one piece of work, with pauses, until they are stopped.

This module does not import Django, so that programs without Django can use it too.
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from weakref import WeakSet


class BackgroundService(ABC):
    """A daemon thread that pauses, runs a turn, pauses again, and so on.

    A subclass defines `turn`, `pause` and `on_error`. If a turn raises an exception, the service calls `on_error` and
    goes on with the next turn. The first turn comes after the first pause; a `wake` before `start` skips this pause.

    A forked child has no threads of its parent. In the child, the service is in the state before `start`.
    """

    def __init__(self, name: str, *, last_turn_at_exit: bool = False) -> None:
        """Create the service without starting it. `name` is the name of its thread.

        With `last_turn_at_exit` the process runs one more turn when it exits, so that it does not lose collected data.
        """
        self.name = name
        self._last_turn_at_exit = last_turn_at_exit
        self._reset()
        _services.add(self)

    def _reset(self) -> None:
        self.is_started = False
        """Whether this process has started the service. It is a plain attribute, because frequent code reads it."""
        self._starting = threading.Lock()  # a new one: the parent's threads may have held the old one at the fork
        self._pause_over = threading.Event()
        self._stop_requested = False
        self._thread: threading.Thread | None = None

    # --- methods that a subclass defines ---------------------------------------------------------------------------
    @abstractmethod
    def turn(self) -> None:
        """Do the work that is due now."""

    @abstractmethod
    def pause(self) -> float | None:
        """Return the seconds until the next turn, or None to wait for `wake`."""

    @abstractmethod
    def on_error(self, error: Exception) -> None:
        """Log the exception of a turn."""

    def must_stop(self) -> bool:
        """Return whether the service has to stop. A long turn checks this from time to time."""
        return self._stop_requested

    def on_end(self) -> None:  # noqa: B027 - most services have nothing to clean up
        """Clean up after the last turn, in the service's thread."""

    def on_fork(self) -> None:  # noqa: B027 - most services keep nothing
        """Discard, in a forked child, the work that the parent's service still has to do."""

    # --- methods for other code ------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread, unless this process has started it already. A stopped service stays stopped."""
        with self._starting:
            if self.is_started:
                return
            self.is_started = True
            if self._last_turn_at_exit:
                atexit.register(self._run_turn)
            self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
            self._thread.start()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """End the current pause at once, or skip the next one."""
        self._pause_over.set()

    def ask_to_stop(self) -> None:
        """Ask the service to stop after the current turn, without waiting for its end."""
        self._stop_requested = True
        self._pause_over.set()

    def stop(self, *, within: float | None = 5.0) -> None:
        """Ask the service to stop, and wait for its end for `within` seconds at most; None waits without a limit."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(timeout=within)

    def run(self) -> None:
        """Pause and run turns until the service has to stop. The thread calls this; a test can call it directly."""
        try:
            while True:
                self._pause_over.wait(self.pause())
                self._pause_over.clear()  # before `must_stop`: a later request to stop ends the next pause
                if self.must_stop():
                    return
                self._run_turn()
        finally:
            self.on_end()

    def _run_turn(self) -> None:
        try:
            self.turn()
        except Exception as error:  # noqa: BLE001 - after any error, the next turn tries again
            with suppress(Exception):  # the log cannot be written, which must not end the service
                self.on_error(error)


_services: WeakSet[BackgroundService] = WeakSet()


def _reset_services_in_child() -> None:
    for service in list(_services):
        service._reset()  # noqa: SLF001 - of the class above
        service.on_fork()


os.register_at_fork(after_in_child=_reset_services_in_child)
