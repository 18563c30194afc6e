"""The background service that ends hung child processes of a worker (`jobs.engine.process_watch`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import psutil
import structlog

from jobs.engine import lifecycle, process_watch
from jobs.engine.process_watch import Watched
from jobs.engine.worker_service import WorkerService
from jobs.errors import LeaseLost

log = structlog.get_logger(__name__)
TURN_SECONDS = 1.0
ENDED = "The attempt took too long and did not stop when it was asked to, so its process was ended."


class WatchService(WorkerService):
    """Looks every second for child processes that do not keep the time limit of their job, and kills them."""

    def __init__(self) -> None:
        super().__init__("watch")
        self._own_pid = os.getpid()

    def steps(self) -> Iterator[Callable[[], object]]:
        """Return one step for each process that is late."""
        for late in process_watch.watched():
            if late.is_late and late.pid != self._own_pid:
                yield partial(self._end, late)

    def pause(self) -> float:
        """Return TURN_SECONDS."""
        return TURN_SECONDS

    def _end(self, late: Watched) -> None:
        """Kill the process, then let the attempt fail. If the database is away, the rescuer ends the attempt later.

        A child that has died by itself may have left its slot, and the system may have given its pid to another
        process. So only a child is killed; the rescuer ends the attempt of a dead one.
        """
        if not is_own_child(late.pid):
            process_watch.forget(late.pid)
            return
        with suppress(ProcessLookupError):
            os.kill(late.pid, signal.SIGKILL)
        process_watch.forget(late.pid)
        log.error("hung_process_ended", jobId=late.job_id, pid=late.pid)
        with suppress(LeaseLost):  # the rescuer was faster
            lifecycle.fail_killed(job_id=late.job_id, pid=late.pid, error=ENDED)


def is_own_child(pid: int) -> bool:
    """Return whether a child of this process has this pid."""
    try:
        return psutil.Process(pid).ppid() == os.getpid()
    except psutil.NoSuchProcess:
        return False
