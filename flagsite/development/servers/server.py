"""What the embedded servers have in common: start, stop, kill, and whether they run."""

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
from flagsite.development.servers.data_folder_layout import socket_folder
from flagsite.development.servers.errors import ServerError
from flagsite.development.servers.log_file import open_log_file

LONGEST_RECOVERY = 900  # seconds
LARGEST_LOG = 10_000_000  # bytes; at the next start a longer one is set aside as .old


class Server(ABC):
    """One embedded server of one data folder. It holds no state, so it also works on a server of another process."""

    name: ClassVar[str]
    package: ClassVar[str]
    """The import name of the package that brings the server's program."""
    url_variable: ClassVar[str]
    """The environment variable that names another server to use in place of this one."""
    example_url: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    _children: ClassVar[dict[int, subprocess.Popen[bytes]]] = {}  # started by this process, which must reap them
    _used: ClassVar[dict[Path, IO[str]]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / self.name
        self.sockets = socket_folder(folder)
        self.log = folder / f"{self.name}.log"

    @property
    @abstractmethod
    def process_mark(self) -> str:
        """A text that is in the command line of each process of this server, and of no other process."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @abstractmethod
    def check_answer(self) -> None:
        """Return if the server serves a real client; otherwise raise OSError or an error of the client library."""

    def prepare_data(self) -> None:  # noqa: B027 - not every server needs it
        """Make the data ready for a start. No process of this server lives."""

    def package_folder(self) -> Path:
        """Where the package with the server's program is installed. Raises ServerError when it is not.

        Does not import the package, because importing may have effects.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise ServerError(
                f"{self.url_variable} is not set, and the embedded server in its place is not installed. Set "
                f"{self.url_variable}, for example to {self.example_url}, or install requirements-local.txt, as "
                "bin/demo, bin/dev, bin/manage and bin/test do."
            )
        return Path(spec.origin).parent

    def is_ready(self) -> bool:
        """Whether the server serves a real client now."""
        try:
            self.check_answer()
        except Exception:  # noqa: BLE001 - whatever the reason, it is not ready
            return False
        return True

    def is_recovering(self) -> bool:
        """Whether the server answers that it recovers from a crash and will be ready afterwards."""
        return False

    def processes(self) -> list[psutil.Process]:
        """The living processes of this server, oldest first. A zombie does not count."""
        self._reap()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self._is_ours(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def pid(self) -> int | None:
        """The number of the main process, or None when the server does not run."""
        processes = self.processes()
        pids = {process.pid for process in processes}
        with contextlib.suppress(psutil.Error):
            return next((process.pid for process in processes if process.ppid() not in pids), None)
        return None

    def start(self) -> None:
        """Start the server if it does not run, and keep other processes from stopping it while this process lives."""
        if self.folder not in self._used:
            self._used[self.folder] = locks.hold_in_use(self.folder)
        self.ensure_running()

    def ensure_running(self, *, patience: float = 60) -> None:
        """Start the server unless it is ready. Recovers from a crash.

        A server may be silent for `patience` seconds while it starts. Raises ServerError.
        """
        with locks.start_stop_lock(self.folder):
            if not self.is_ready():
                self._make_folders()
                if not self._is_only_slow():
                    self.prepare_data()
                    self._launch(patience)
            self.finish_start()

    def finish_start(self) -> None:  # noqa: B027 - not every server needs it
        """Make what a server may still lack after its start; the process that started it may have been killed since."""

    def stop(self, *, patience: float = 30) -> None:
        """Shut down in order; kill the processes that still live after `patience` seconds."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.stop_signal)
            if self._all_gone(patience):
                return
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to each process, the main one first, as when the machine crashes."""
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
        with open(open_log_file(self.log, largest=LARGEST_LOG), "ab") as log:  # noqa: PTH123 - of a descriptor
            child = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        self._children[child.pid] = child
        if self._answers_within(patience, lambda: child.poll() is not None):
            return
        what = f"is silent after {patience:.0f} s" if child.poll() is None else "ended while starting"
        raise ServerError(f"{self.name} {what}; the end of {self.log}:\n{self.last_lines()}")

    def _answers_within(self, patience: float, is_gone: Callable[[], bool]) -> bool:
        """Wait until the server is ready, also while it recovers. False when it is gone, or silent for too long."""
        silent_since = time.monotonic()
        for _ in _until(LONGEST_RECOVERY):
            if self.is_ready():
                return True
            if self.is_recovering():
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > patience or is_gone():
                return False
        return False

    def _is_ours(self, words: list[str]) -> bool:
        return any(self.process_mark in word for word in words)

    def _all_gone(self, patience: float) -> bool:
        return any(not self.processes() for _ in _until(patience))

    def _is_only_slow(self) -> bool:
        """Whether a server that runs without answering answers after a while. Kills it if it does not."""
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
    """Yield again and again until the time is over, and at least once; the pauses in between grow."""
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() >= end:
            return
        time.sleep(pause)
        pause = min(pause * 1.2, 0.2)
