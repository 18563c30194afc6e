"""The two locks of a data folder, both the kernel's, so that no crash leaves one behind.

A process holds the first lock while it starts or stops servers. All processes that use the servers share the second
lock for as long as they live; a process that can get it exclusively is the last user.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flagsite.development.servers.errors import ServerError


@contextmanager
def start_stop_lock(folder: Path) -> Iterator[None]:
    """Let no other process start or stop servers of this data folder inside the block. Raises ServerError."""
    with open_lock_file(folder, "servers.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hold_in_use(folder: Path) -> IO[str]:
    """Keep other processes from stopping the servers, until the returned file is closed or this process ends."""
    held = open_lock_file(folder, "servers-in-use.lock")
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def is_in_use(folder: Path) -> bool:
    """Whether any living process uses the servers. Call it inside `start_stop_lock`."""
    with open_lock_file(folder, "servers-in-use.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def make_data_folder(folder: Path) -> None:
    """Make the data folder if it is missing.

    Raises ServerError when it cannot be made, or belongs to another user, even for root.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"The data folder {folder} cannot be made ({error.strerror}). Choose another with FLAGSITE_DATA_DIR."
        ) from error
    if folder.stat().st_uid != os.geteuid():
        raise ServerError(
            f"The data folder {folder} belongs to another user ({folder.stat().st_uid}). Run Flagsite as that user, or "
            "choose another data folder with FLAGSITE_DATA_DIR."
        )


def open_lock_file(folder: Path, name: str) -> IO[str]:
    """Open a lock file of the data folder; makes file and folder if they are missing. Raises ServerError."""
    make_data_folder(folder)
    try:
        return (folder / name).open("a")
    except OSError as error:
        raise ServerError(
            f"The data folder {folder} cannot be written ({error.strerror}). Choose another with FLAGSITE_DATA_DIR."
        ) from error
