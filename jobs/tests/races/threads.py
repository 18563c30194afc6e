"""Calls on connections of their own, and the wait until PostgreSQL says that one waits for a lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from flagsite.core import actor

WAITS_FOR_A_LOCK = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
"""Not from pg_stat_activity, which says the same until the end of a transaction."""


class Background:
    """A call that has begun in a thread with a connection of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._connected = threading.Event()
        self._pid = 0
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_until_blocked(self) -> None:
        """Until it waits for a lock that another transaction holds. Fails after ten seconds."""
        self._wait_until(WAITS_FOR_A_LOCK)

    def wait_until_blocked_by(self, other: Background) -> None:
        """Until it waits for a lock that this other call holds. Fails after ten seconds."""
        self._wait_until(f"SELECT {other._pid} = ANY(pg_blocking_pids(%s))")

    def _wait_until(self, question: str) -> None:
        assert self._connected.wait(10)
        deadline = time.monotonic() + 10
        while True:
            with connection.cursor() as cursor:
                cursor.execute(question, [self._pid])
                if cursor.fetchone() == (True,):
                    return
            assert time.monotonic() < deadline, "it never waited"
            assert self._thread.is_alive(), f"it did not wait: {self._result!r} {self._error!r}"
            time.sleep(0.005)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        """What it returned; raises what it raised."""
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._pid = cursor.fetchone()[0]
            self._connected.set()
            with actor.acting("worker", actor=actor.SYSTEM):  # a thread begins without the test's own
                self._result = self._call()
        except BaseException as error:  # raised again in the thread that asks for the result
            self._error = error
        finally:
            connection.close()
