"""What the background services of a worker's main process have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import structlog
from django.db import connection

from flagsite.core import actor
from flagsite.core.background import BackgroundService
from flagsite.core.db import transient_errors
from jobs.engine import shutdown

log = structlog.get_logger(__name__)


class WorkerService(BackgroundService):
    """Works until the worker stops. A turn has several steps; one that fails keeps no other from its work.

    While the database is away that is logged once, and not at every turn.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._database_away = False

    @abstractmethod
    def steps(self) -> Iterable[Callable[[], object]]:
        """Return what is to be done in this turn."""

    def turn(self) -> None:
        """Take each step. The database is back when none of them has failed."""
        succeeded = [self.attempt(step) for step in self.steps()]
        if all(succeeded):
            self._database_away = False

    def attempt(self, step: Callable[[], object]) -> bool:
        """Take a step, with the system as the actor, and return whether it succeeded."""
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
            self.on_error(error)
            return False
        return True

    def must_stop(self) -> bool:
        """Look at the worker's flag too: a signal handler may set a byte, but must not wait for an event's lock."""
        return shutdown.is_requested() or super().must_stop()

    def on_error(self, error: Exception) -> None:
        """Log the error, unless it says again that the database is away; the next step takes a new connection."""
        is_transient = transient_errors.is_transient(error)
        if not (is_transient and self._database_away):
            log.warning("sweep_failed", error=str(error))
        self._database_away = self._database_away or is_transient
        connection.close()
