"""A background service: a thread of this process that takes one turn after the other until it is stopped.

This module needs nothing of Django, so that programs without Django have background services too.
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from weakref import WeakSet


class BackgroundService(ABC):
    """A daemon thread that pauses, takes a turn, pauses again, and so on.

    A subclass defines `turn`, `pause` and `on_error`. What a turn raises goes to `on_error` and ends nothing: the next
    turn tries again. The first turn comes after the first pause; a `wake` before `start` leaves that pause out.

    A forked child has none of its parent's threads. There the service is as if it had never been started.
    """

    def __init__(self, name: str, *, last_turn_at_exit: bool = False) -> None:
        """Make a service that is not started yet; `name` is its thread's.

        With `last_turn_at_exit` the process takes one more turn when it exits, so that what has gathered is not lost.
        """
        self.name = name
        self._last_turn_at_exit = last_turn_at_exit
        self._begin_afresh()
        _services.add(self)

    def _begin_afresh(self) -> None:
        self.is_started = False
        """Whether this process has started the service. A plain attribute, since hot paths look at it."""
        self._starting = threading.Lock()  # a lock and an event of the parent's may be in use by its threads
        self._pause_over = threading.Event()
        self._stop_asked = False
        self._thread: threading.Thread | None = None

    # --- what a subclass defines -----------------------------------------------------------------------------------
    @abstractmethod
    def turn(self) -> None:
        """Do what is to be done by now."""

    @abstractmethod
    def pause(self) -> float | None:
        """Return the seconds until the next turn; None waits for `wake`."""

    @abstractmethod
    def on_error(self, error: Exception) -> None:
        """Log what a turn has raised."""

    def must_stop(self) -> bool:
        """Return whether no further turn is to be taken; a turn that lasts looks here now and then."""
        return self._stop_asked

    def on_end(self) -> None:  # noqa: B027 - most services have nothing to clean up
        """Clean up, in the service's thread, after the last turn."""

    def on_fork(self) -> None:  # noqa: B027 - most services keep nothing
        """Forget, in a forked child, what the parent's service still has to do."""

    # --- what others call ------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread, unless this process has started it already. A service that was stopped stays stopped."""
        with self._starting:
            if self.is_started:
                return
            self.is_started = True
            if self._last_turn_at_exit:
                atexit.register(self._take_turn)
            self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
            self._thread.start()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """End the pause at once, or leave out the next one."""
        self._pause_over.set()

    def ask_to_stop(self) -> None:
        """End the service after the turn that it is in; do not wait for that."""
        self._stop_asked = True
        self._pause_over.set()

    def stop(self, *, within: float | None = 5.0) -> None:
        """Ask the service to stop and wait for its end, at most `within` seconds; None waits as long as it takes."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(timeout=within)

    def run(self) -> None:
        """Pause and take turns until the service is to stop. The thread does this; a test may do it in its own."""
        try:
            while True:
                self._pause_over.wait(self.pause())
                self._pause_over.clear()  # before the look: a stop that is asked for from now on ends the next pause
                if self.must_stop():
                    return
                self._take_turn()
        finally:
            self.on_end()

    def _take_turn(self) -> None:
        try:
            self.turn()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
            self.on_error(error)


_services: WeakSet[BackgroundService] = WeakSet()


def _begin_afresh_in_child() -> None:
    for service in list(_services):
        service._begin_afresh()  # noqa: SLF001 - of the class above
        service.on_fork()


os.register_at_fork(after_in_child=_begin_afresh_in_child)
