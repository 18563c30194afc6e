"""The base class of the background services in the main process of a worker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import structlog
from django.db import connection

from flagsite.core import actor
from flagsite.core.background import BackgroundService
from flagsite.core.db import transient_errors
from jobs.engine import stop_request

log = structlog.get_logger(__name__)


class WorkerService(BackgroundService):
    """A background service that works until the worker stops.

    A turn has several steps. If a step fails, the service logs the error and continues with the other steps. While the
    database does not answer, the service logs this once, and not at every turn.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._database_away = False

    @abstractmethod
    def steps(self) -> Iterable[Callable[[], object]]:
        """Return the steps of this turn."""

    def turn(self) -> None:
        """Run all steps. If none of them fails, the database answers again."""
        results = [self.attempt(step) for step in self.steps()]
        if all(results):
            self._database_away = False

    def attempt(self, step: Callable[[], object]) -> bool:
        """Run a step with the system as the actor, and return whether it succeeded."""
        try:
            with actor.acting("worker", actor=actor.SYSTEM):
                step()
        except Exception as error:  # noqa: BLE001 - the next turn tries again after every error
            self.on_error(error)
            return False
        return True

    def must_stop(self) -> bool:
        """Return whether the worker or this service has to stop.

        The signal handler sets `shutdown`, which needs no lock. It must not wait for the lock of an event.
        """
        return stop_request.is_requested() or super().must_stop()

    def on_error(self, error: Exception) -> None:
        """Log the error, and let the next step open a new connection.

        After the first error that says that the database does not answer, further such errors are not logged.
        """
        is_transient = transient_errors.is_transient(error)
        if not (is_transient and self._database_away):
            log.warning("sweep_failed", error=str(error))
        self._database_away = self._database_away or is_transient
        connection.close()
