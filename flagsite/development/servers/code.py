"""Notices that our code changed, by looking at the files' times: a few hundred of them, so that is cheap."""

from __future__ import annotations

import time
from pathlib import Path

APPS = ("flagsite", "flags", "jobs", "orgs")


class CodeWatch:
    """Says once for each change of a Python file of ours that it happened."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._times()
        self._next_look = 0.0

    def changed(self) -> bool:
        """Whether a file was changed, added or removed since the last call that said so; looks once a second."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + 1
        seen, self._seen = self._seen, self._times()
        return seen != self._seen

    def _times(self) -> dict[str, int]:
        times = {}
        for app in APPS:
            for path in (self._root / app).rglob("*.py"):
                if "tests" not in path.parts:
                    times[str(path)] = path.stat().st_mtime_ns
        return times
