"""One log for all processes: each line with the name of the process that wrote it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from flagsite.development.servers.log_file import open_log_file

COLOURS = {"web": "cyan", "worker": "green", "beat": "magenta"}
LARGEST_LOG = 20_000_000  # bytes; at the next start a longer one is set aside as .old


class CombinedLog:
    """A file for the lines of many processes. While `echo` is on, the terminal shows them too.

    Nothing that happens to the file or the terminal stops the processes. Lines for which a full disk has no room are
    left out, and the next line that is written says how many.
    """

    def __init__(self, path: Path, console: Console) -> None:
        """Open the file. Raises OSError where that is not possible."""
        self.path = path
        self.echo = False
        self._console = console
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._file = open_log_file(path, largest=LARGEST_LOG)
        self._left_out = 0
        self._is_torn = False
        """Whether the last line is there in part only."""

    def write(self, name: str, line: str) -> None:
        """Add one line. Never raises an error."""
        with self._lock:
            try:
                self._append(name, line)
                self._left_out = 0
            except OSError:
                self._left_out += 1
            if self.echo:
                head = Text(f"{name:<8} ", style=COLOURS.get(name, "yellow"))
                with suppress(OSError, ValueError):  # the terminal is gone, or its file is on the full disk
                    self._console.print(head + Text.from_ansi(line), soft_wrap=True)

    def follow(self, name: str, pipe: IO[bytes]) -> None:
        """Add a process's lines until it closes its output."""
        thread = threading.Thread(target=self._pump, args=(name, pipe), name=f"log of {name}", daemon=True)
        thread.start()
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]

    def last_lines(self, name: str, count: int = 15) -> str:
        """What one of the processes wrote last."""
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([line for line in lines if line.startswith(f"{name} ")][-count:])

    def close(self) -> None:
        """Write down the last lines of processes that have ended."""
        for thread in self._threads:
            thread.join(timeout=2)
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _append(self, name: str, line: str) -> None:
        text = f"{name:<8} {line}\n"
        if self._left_out:
            text = f"start    {self._left_out} lines were left out, because the log could not be written\n{text}"
        if self._is_torn:
            text = "\n" + text
        remaining = text.encode(errors="replace")
        while remaining:
            written = os.write(self._file, remaining)
            remaining = remaining[written:]
            self._is_torn = bool(remaining)

    def _pump(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self.write(name, line.decode(errors="replace").rstrip())
