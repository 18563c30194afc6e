"""A log file that only its owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

PRIVATE = 0o600


def open_log_file(path: Path, *, largest: int) -> int:
    """Open the file for appending and return its descriptor; first set one aside as .old that is longer than `largest`.

    Both are for their owner only, also if an earlier version of Flagsite has made them. Raises OSError.
    """
    if path.exists() and path.stat().st_size > largest:
        path.replace(path.with_suffix(".log.old"))
    for name in (path, path.with_suffix(".log.old")):
        if name.exists() and stat.S_ISREG(name.stat().st_mode):
            name.chmod(PRIVATE)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
