"""The two locks of a data folder, both the kernel's, so that no crash leaves one behind.

One is held while servers are started or stopped. The other is shared by all that use the servers, for as long as they
live; who can have it alone is the last.
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
def locked(folder: Path) -> Iterator[None]:
    """Be the only one that starts or stops servers of this data folder."""
    with open_lock(folder, "servers.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def use(folder: Path) -> IO[str]:
    """Keep others from stopping the servers, until the result is closed or this process ends."""
    held = open_lock(folder, "servers-in-use.lock")
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def is_used(folder: Path) -> bool:
    """Whether any living process uses the servers. To be asked inside `locked`."""
    with open_lock(folder, "servers-in-use.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def make_folder(folder: Path) -> None:
    """Make the data folder if it is missing.

    Raises ServerError when it cannot be made, or is somebody else's, even for root.
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


def open_lock(folder: Path, name: str) -> IO[str]:
    """A file of the data folder, both made if they are missing, that can be locked. Raises ServerError."""
    make_folder(folder)
    try:
        return (folder / name).open("a")
    except OSError as error:
        raise ServerError(
            f"The data folder {folder} cannot be written ({error.strerror}). Choose another with FLAGSITE_DATA_DIR."
        ) from error
