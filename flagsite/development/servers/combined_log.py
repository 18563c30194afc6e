"""One log for all processes: each line with the name of the process that wrote it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

COLOURS = {"web": "cyan", "worker": "green", "beat": "magenta"}
LARGEST_LOG = 20_000_000  # bytes; at the next start a longer one is set aside as .old


class CombinedLog:
    """A file for the lines of many processes. While `echo` is on, the terminal shows them too."""

    def __init__(self, path: Path, console: Console) -> None:
        self.path = path
        self.echo = False
        self._console = console
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.old"))
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def write(self, name: str, line: str) -> None:
        """Add one line."""
        with self._lock:
            self._file.write(f"{name:<8} {line}\n")
            if self.echo:
                head = Text(f"{name:<8} ", style=COLOURS.get(name, "yellow"))
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
            self._file.close()

    def _pump(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self.write(name, line.decode(errors="replace").rstrip())
