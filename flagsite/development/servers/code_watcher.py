"""Noticing that our Python code changed, so that bin/dev takes it over."""

from __future__ import annotations

from pathlib import Path

from watchfiles import Change, watch

APPS = ("flagsite", "flags", "jobs", "orgs")
WAIT = 10  # milliseconds that `changed` waits for a change


class CodeWatcher:
    """Watches the Python files of a checkout, tests excepted, from its creation on."""

    def __init__(self, root: Path) -> None:
        self._root = root
        folders = [root / app for app in APPS]
        self._changes = watch(*folders, watch_filter=self._is_code, rust_timeout=WAIT, yield_on_timeout=True)
        next(self._changes)  # the generator begins to watch now, not at the first question

    def changed(self) -> bool:
        """Whether a file was changed, added or removed since the last call; many at once count as one change."""
        return bool(next(self._changes))

    def _is_code(self, _: Change, path: str) -> bool:
        return path.endswith(".py") and "tests" not in Path(path).relative_to(self._root).parts
