"""bin/dev takes over changed code: which changes count."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flagsite.development.servers.code_watcher import APPS, CodeWatcher


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that lies in a folder called tests, which must not matter."""
    root = tmp_path / "tests" / "checkout"
    for app in APPS:
        (root / app / "tests").mkdir(parents=True)
    (root / "flags" / "urls.py").touch()
    return root


def _changed_soon(watcher: CodeWatcher, within: float = 10) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if watcher.changed():
            return True
    return False


def test_a_python_file_that_is_touched_added_or_removed_counts_once(checkout: Path) -> None:
    watcher = CodeWatcher(checkout)
    assert not watcher.changed()
    file, added = checkout / "flags" / "urls.py", checkout / "orgs" / "new.py"
    for change in (file.touch, added.touch, added.unlink):
        change()
        assert _changed_soon(watcher)
        assert not _changed_soon(watcher, within=0.3)


def test_tests_and_other_files_do_not_count(checkout: Path) -> None:
    watcher = CodeWatcher(checkout)
    (checkout / "flags" / "tests" / "test_new.py").touch()
    (checkout / "flags" / "page.html").touch()
    (checkout / "new.py").touch()
    assert not _changed_soon(watcher, within=0.5)
