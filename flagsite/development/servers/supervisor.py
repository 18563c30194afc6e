"""The supervisor of web, events, worker and beat: it starts them, keeps them running and leaves none behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flagsite.core.background import BackgroundService
from flagsite.development.servers import orphaned_processes
from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.data_folder_layout import ROOT
from flagsite.development.servers.embedded import embedded_servers
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.exit_signals import exit_signals_ignored
from flagsite.development.servers.locks import open_lock_file
from flagsite.development.servers.server import Server
from flagsite.development.servers.server_commands import events_command, web_command, worker_command

PATIENCE = 25  # seconds that a process has to stop in order
LONGEST_PAUSE = 30.0  # seconds before a process that ends again and again is started again
STEADY = 60.0  # seconds after which one that ran counts as healthy
SILENCE = 30.0  # seconds after which a server that is there but does not answer is started anew
TURN = 0.2


@dataclass
class Process:
    """One of our programs: how it is started, and the process that runs it now."""

    name: str
    command: list[str]
    reload_signal: signal.Signals | None = None
    """What makes it take over changed code; without one it is stopped and started."""
    popen: subprocess.Popen[bytes] | None = None
    leader: orphaned_processes.SessionLeader | None = None
    started: float = 0
    start_at: float = 0
    pause: float = 0.5
    ended: int = 0
    """How often it ended without being asked."""


def installation_processes(port: int, events_port: int) -> list[Process]:
    """Web, events, worker and beat, as for one machine; the Procfile has them for many."""
    return [
        Process("web", web_command(port, python=sys.executable), reload_signal=signal.SIGHUP),
        Process("events", events_command(events_port, python=sys.executable)),
        Process("worker", worker_command(python=sys.executable)),
        Process("beat", [sys.executable, "-m", "celery", "-A", "flagsite", "beat"]),
    ]


@contextmanager
def only_supervisor(folder: Path) -> Iterator[None]:
    """Let no other supervisor run on this data folder inside the block; first kill what an earlier one left.

    Raises ServerError when another supervisor runs.
    """
    with open_lock_file(folder, "supervisor.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(
                f"Flagsite runs already with the data in {folder}. Stop it first, or give this one a data folder of "
                "its own with FLAGSITE_DATA_DIR."
            ) from None
        orphaned_processes.kill_recorded_sessions(folder)
        yield


class Supervisor(BackgroundService):
    """Keeps processes running, and the embedded servers that they need, until it is told to stop."""

    def __init__(
        self,
        processes: list[Process],
        *,
        folder: Path,
        log: CombinedLog,
        code_changed: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__("supervisor")
        self.processes = processes
        self.folder = folder
        self.log = log
        self._code_changed = code_changed
        self._silent_since: dict[str, float] = {}
        self._is_recorded = True
        self._next_look = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the processes inside the block, which must be inside `only_supervisor`; afterwards stop all of them."""
        with orphaned_processes.watchdog(self.folder):
            self.start()
            try:
                yield
            finally:
                self._stop_processes()

    def failed(self) -> str | None:
        """The name of a process that does not stay up, or None."""
        return next((process.name for process in self.processes if process.ended >= 3), None)  # noqa: PLR2004

    def turn(self) -> None:
        """Start what does not run, and begin anew what has changed or does not answer."""
        for process in self.processes:
            self._keep_one_running(process)
        if self._code_changed():
            self._reload()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 2
            if not self._is_recorded:
                self._record_sessions()
            self._look_after_servers()

    def pause(self) -> float:
        """Return TURN, in seconds."""
        return TURN

    def on_error(self, error: Exception) -> None:
        """Write the traceback into the log."""
        self.log.write("start", "".join(traceback.format_exception(error)))

    def _keep_one_running(self, process: Process) -> None:
        now = time.monotonic()
        if process.popen is None:
            if now >= process.start_at:
                self._start_process(process)
            return
        status = process.popen.poll()
        if status is None:
            if now - process.started > STEADY:
                process.pause, process.ended = 0.5, 0
            return
        process.ended += 1
        process.pause = min(process.pause * 2, LONGEST_PAUSE)
        process.start_at = now + process.pause
        self.log.write(process.name, f"ended with status {status}; starting again in {process.pause:g} s")
        self._end_session(process)

    def _start_process(self, process: Process) -> None:
        environment = os.environ | {"FLAGSITE_DATA_DIR": str(self.folder), "PYTHONUNBUFFERED": "1"}
        process.popen = subprocess.Popen(
            process.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process.started = time.monotonic()
        process.leader = orphaned_processes.SessionLeader.now(process.popen.pid)
        if process.popen.stdout is not None:
            self.log.follow(process.name, process.popen.stdout)
        self._record_sessions()

    def _record_sessions(self) -> None:
        """Write the list of what runs; while the disk is full, it is tried again and again."""
        leaders = [one.leader for one in self.processes if one.leader is not None]
        try:
            orphaned_processes.record_sessions(self.folder, leaders)
        except OSError as error:
            if self._is_recorded:
                self.log.write("start", f"the list of processes cannot be written: {error}")
            self._is_recorded = False
        else:
            self._is_recorded = True

    def _reload(self) -> None:
        self.log.write("start", "code changed")
        stopped = [one for one in self.processes if one.reload_signal is None]
        for process in self.processes:
            if process.popen is not None and process.reload_signal is not None:
                process.popen.send_signal(process.reload_signal)
        for process in stopped:
            _ask_to_stop(process)
        _wait(stopped, PATIENCE)
        for process in stopped:
            self._end_session(process)
        for process in self.processes:
            process.start_at = 0

    def _look_after_servers(self) -> None:
        for server in embedded_servers():
            if server.is_ready() or server.is_recovering():
                self._silent_since.pop(server.name, None)
                continue
            since = self._silent_since.setdefault(server.name, time.monotonic())
            if not server.processes() or time.monotonic() - since > SILENCE:
                self._revive(server)

    def _revive(self, server: Server) -> None:
        self.log.write(server.name, "does not answer; starting it again")
        try:
            server.ensure_running()
        except (ServerError, OSError) as error:
            self.log.write(server.name, str(error))
        self._silent_since.pop(server.name, None)

    def _stop_processes(self) -> None:
        """SIGTERM to each main process, which sees to its own children; then SIGKILL to whatever is left.

        An impatient second Ctrl-C leads to the SIGKILL at once.
        """
        try:
            self.stop(within=None)
            for process in self.processes:
                _ask_to_stop(process)
            _wait(self.processes, PATIENCE)
        finally:
            with exit_signals_ignored():
                self.stop(within=5)
                for process in self.processes:
                    self._end_session(process)
                orphaned_processes.forget_sessions(self.folder)

    def _end_session(self, process: Process) -> None:
        if process.popen is None or process.leader is None:
            return
        orphaned_processes.kill_session(process.leader)
        process.popen.wait()
        process.popen = process.leader = None


def _ask_to_stop(process: Process) -> None:
    if process.popen is not None:
        with contextlib.suppress(ProcessLookupError):
            process.popen.terminate()


def _wait(processes: list[Process], patience: float) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end and any(one.popen is not None and one.popen.poll() is None for one in processes):
        time.sleep(0.05)
