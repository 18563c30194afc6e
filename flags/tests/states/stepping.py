"""Workers that go one chunk at a time, each a thread with its own connection, in the order that a test says."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest
from django.db import connection

from jobs.engine import runner, wakeup, worker_registry
from jobs.engine.run import Run

QUEUE = "propagation"
_here = threading.local()


class Killed(BaseException):
    """The process has died: nothing catches this, nothing is written after it."""


class SteppedWorker:
    """A worker that stops before each chunk until it is told to go on. Needs the fixture `stepped_workers`."""

    def __init__(self, name: str, queue: str = QUEUE) -> None:
        self.name = name
        self.queue = queue
        self.busy = False
        self._orders: SimpleQueue[str] = SimpleQueue()
        self._reports: SimpleQueue[bool | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def start(self) -> bool:
        """Claim the next due job and go to its first chunk; returns whether there is one to write."""
        assert not self.busy
        return self._order("run")

    def step(self, chunks: int = 1) -> bool:
        """Write the next chunks; returns whether the job is still being worked on."""
        for _ in range(chunks):
            if self.busy:
                self._order("go on")
        return self.busy

    def finish(self) -> None:
        """Go on to the job's end."""
        while self.step():
            pass

    def kill(self) -> None:
        """Die between two chunks, without a word."""
        if self.busy:
            self._order("die")

    def quit(self) -> None:
        """End the thread."""
        self.kill()
        self._orders.put("quit")
        self._thread.join()

    def pause(self) -> None:
        """Called by the worker's own thread before each chunk."""
        self._reports.put(True)
        if self._orders.get() == "die":
            raise Killed

    def _order(self, order: str) -> bool:
        self._orders.put(order)
        report = self._reports.get(timeout=60)
        self.busy = report is True
        if isinstance(report, BaseException):
            raise report
        return self.busy

    def _live(self) -> None:
        _here.worker = self
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")  # quicker; nobody cuts the power
        try:
            while self._orders.get() == "run":
                try:
                    runner.run_next(self.queue)
                    self._reports.put(False)
                except Killed:
                    self._reports.put(False)
                except BaseException as error:  # the test's thread raises it
                    self._reports.put(error)
        finally:
            connection.close()


def pause_before_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stepped workers stop where others only look whether they have to; send no messages."""
    check, reload = Run.check, Run.reload

    def checked(run: Run) -> None:
        worker = getattr(_here, "worker", None)
        if worker is not None:
            worker.pause()
        check(run)

    def reloaded(run: Run) -> object:
        worker = getattr(_here, "worker", None)
        if worker is not None:  # between the last chunk and the end that is recorded
            worker.pause()
        return reload(run)

    monkeypatch.setattr(worker_registry, "process_name", lambda: threading.current_thread().name)
    monkeypatch.setattr(Run, "check", checked)
    monkeypatch.setattr(Run, "reload", reloaded)
    monkeypatch.setattr(wakeup, "wake", lambda queue, **_: None)
