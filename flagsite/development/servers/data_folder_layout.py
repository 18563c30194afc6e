"""Where the data folder is and where things are in it. Only computes paths and URLs; touches no file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

LONGEST_SOCKET_FOLDER = 80  # bytes; the kernel allows about 104 for folder and file name together


def data_folder() -> Path:
    """FLAGSITE_DATA_DIR, or `.data` in the checkout, as an absolute path. The folder may not exist yet."""
    chosen = os.environ.get("FLAGSITE_DATA_DIR")
    return Path(os.path.abspath(os.path.expanduser(chosen))) if chosen else ROOT / ".data"


def identity(folder: Path) -> str:
    """A short name of this data folder, the same in every process and unlike any other folder's."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def socket_folder(folder: Path) -> Path:
    """Where the servers of this data folder listen: inside it, or under /tmp when the path is too long for a socket.

    A path with characters that a URL would have to escape goes to /tmp too, because not every client undoes the
    escaping. TMPDIR does not count, because every process must come to the same folder.
    """
    inside = folder / "sockets"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER and re.fullmatch(r"[A-Za-z0-9/._-]+", str(inside)):
        return inside
    return Path("/tmp") / f"flagsite-{identity(folder)}"  # noqa: S108 - its owner and mode are checked before use


def database_url(folder: Path | None = None) -> str:
    """The URL of the data folder's PostgreSQL, whether it runs or not."""
    return f"postgresql://flagsite@/flagsite?host={socket_folder(folder or data_folder())}"


def redis_url(folder: Path | None = None) -> str:
    """The URL of the data folder's Valkey, whether it runs or not."""
    return f"unix://{socket_folder(folder or data_folder())}/valkey.sock?db=0"
