"""What the embedded servers have in common: start, stop, kill, and telling whether they run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import stat
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, ClassVar

import psutil

from flagsite.development.servers import locks
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.locations import socket_folder

LONGEST_REPAIR = 900  # seconds
LARGEST_LOG = 10_000_000  # bytes; at the next start a longer one is set aside as .old


def wheel_folder(package: str) -> Path:
    """Where a package is installed; without importing it, which may have effects. Raises ServerError."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerError(f"the package {package} is missing; use bin/manage, bin/demo or bin/test, which install it")
    return Path(spec.origin).parent


class Server(ABC):
    """One server of one data folder. Holds no state: any process may use one on a server that another started."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    _children: ClassVar[dict[int, subprocess.Popen[bytes]]] = {}  # those that this process started and must reap
    _used: ClassVar[dict[Path, IO[str]]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / self.name
        self.sockets = socket_folder(folder)
        self.log = folder / f"{self.name}.log"

    @property
    @abstractmethod
    def mark(self) -> str:
        """Text in the command line of each of this server's processes, and in no other process's."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the server in the foreground."""

    @abstractmethod
    def answer(self) -> None:
        """Return when the server serves a real client. Raises OSError or the client's own error."""

    def prepare(self) -> None:  # noqa: B027 - not every server needs it
        """Make the data ready for a start; no process of this server is alive."""

    def is_ready(self) -> bool:
        """Whether a real client is served now."""
        try:
            self.answer()
        except Exception:  # noqa: BLE001 - whatever the reason, it is not ready
            return False
        return True

    def is_repairing(self) -> bool:
        """Whether it answers that it will be ready once it has mended what a crash left."""
        return False

    def processes(self) -> list[psutil.Process]:
        """This server's living processes, oldest first; a dead one that nobody has reaped does not count."""
        self._reap()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self._is_ours(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def pid(self) -> int | None:
        """The main process, or None when the server does not run."""
        processes = self.processes()
        pids = {process.pid for process in processes}
        with contextlib.suppress(psutil.Error):
            return next((process.pid for process in processes if process.ppid() not in pids), None)
        return None

    def start(self) -> None:
        """Bring the server up and count as its user until this process ends, so that no other process stops it."""
        if self.folder not in self._used:
            self._used[self.folder] = locks.use(self.folder)
        self.bring_up()

    def bring_up(self, *, patience: float = 60) -> None:
        """Return with the server ready, at once if it is already; recovers what a crash left. Raises ServerError."""
        with locks.locked(self.folder):
            if not self.is_ready():
                self._make_folders()
                if not self._revives():
                    self.prepare()
                    self._launch(patience)
            self.complete()

    def complete(self) -> None:  # noqa: B027 - not every server needs it
        """Make what a server that has just been started, perhaps by a process that was killed, may still lack."""

    def stop(self, *, patience: float = 30) -> None:
        """Shut down in order; whatever is left after `patience` seconds is killed."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.stop_signal)
            if self._all_gone(patience):
                return
        self.kill()

    def kill(self) -> None:
        """SIGKILL to each process, the main one first: what a crash of the machine does to it."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if not self._all_gone(10):
            raise ServerError(f"{self.name} survives SIGKILL: {self.processes()}")

    def last_lines(self, count: int = 12) -> str:
        """The end of the server's log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        return "(no log)"

    def _launch(self, patience: float) -> None:
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        self._children[child.pid] = child
        if self._answers_within(patience, lambda: child.poll() is not None):
            return
        what = f"is silent after {patience:.0f} s" if child.poll() is None else "ended while starting"
        raise ServerError(f"{self.name} {what}; the end of {self.log}:\n{self.last_lines()}")

    def _answers_within(self, patience: float, is_gone: Callable[[], bool]) -> bool:
        """Wait until it is ready, for as long as it says that it repairs itself; False when it is silent or gone."""
        silent_since = time.monotonic()
        for _ in _until(LONGEST_REPAIR):
            if self.is_ready():
                return True
            if self.is_repairing():
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > patience or is_gone():
                return False
        return False

    def _is_ours(self, words: list[str]) -> bool:
        return any(self.mark in word for word in words)

    def _all_gone(self, patience: float) -> bool:
        return any(not self.processes() for _ in _until(patience))

    def _revives(self) -> bool:
        """Whether one that runs but does not answer was only slow; if not, it is ended."""
        if not self.processes():
            return False
        if self._answers_within(10, lambda: not self.processes()):
            return True
        self.kill()
        return False

    def _make_folders(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.sockets.mkdir(mode=0o700)
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ServerError(
                f"{self.sockets} must be a folder of yours that nobody else may enter (mode 0700). "
                "Remove it, or choose another data folder with FLAGSITE_DATA_DIR."
            )

    @classmethod
    def _reap(cls) -> None:
        for pid, child in list(cls._children.items()):
            if child.poll() is not None:
                cls._children.pop(pid, None)


def _until(seconds: float, pause: float = 0.02) -> Iterator[None]:
    """Come back again and again, at least once, until the time is over."""
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() >= end:
            return
        time.sleep(pause)
        pause = min(pause * 1.2, 0.2)
