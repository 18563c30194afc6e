"""The files of artifacts on a disk. All processes need the same folder; machines that share none need S3."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol, cast

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, storages

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the storage, by its key, and when it was written."""

    key: str
    modified_at: datetime


class ArtifactFiles(Protocol):
    """What artifacts need of a storage: some methods of Django's `Storage`, and two more."""

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str: ...
    def open(self, name: str, mode: str = "rb") -> File: ...
    def delete(self, name: str) -> None: ...
    def stored_files(self) -> Iterator[StoredFile]:
        """Yield every file in the storage."""

    def address(self, key: str, *, name: str, media_type: str) -> str | None:
        """Return an address at which the storage itself hands out the file for a minute; None if it cannot."""


def artifact_files() -> ArtifactFiles:
    """Return the storage of the artifacts."""
    return cast("ArtifactFiles", storages["artifacts"])


class LocalFiles(FileSystemStorage):
    """Files in a folder."""

    def __init__(self, location: str) -> None:
        super().__init__(location, file_permissions_mode=0o640, directory_permissions_mode=0o750)

    def delete(self, name: str) -> None:
        """Delete a file, and its folders if they are empty then."""
        super().delete(name)
        folder, top = Path(self.path(name)).parent, Path(self.location)
        with contextlib.suppress(OSError):
            while folder != top:
                folder.rmdir()
                folder = folder.parent

    def stored_files(self) -> Iterator[StoredFile]:
        """Yield every file in the folder."""
        for folder, _, names in os.walk(self.location):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    key = path.relative_to(self.location).as_posix()
                    yield StoredFile(key, self.get_modified_time(key))

    def address(self, key: str, *, name: str, media_type: str) -> str | None:
        """Return None, because only Flagsite hands out the files."""
        return None


@contextlib.contextmanager
def opened(storage_key: str) -> Iterator[BinaryIO]:
    """Yield the file as a temporary file, in which the caller can seek. Raises FileNotFoundError."""
    with artifact_files().open(storage_key) as stored, TemporaryFile() as copy:
        for block in iter(partial(stored.read, BLOCK_BYTES), b""):
            copy.write(block)
        copy.seek(0)
        yield copy


def save(storage_key: str, content: BinaryIO) -> tuple[int, str]:
    """Store a file under a key that no other file has. Returns its size and the hexadecimal SHA-256 of its content."""
    content.seek(0)
    sha256 = file_digest(cast("Any", content), "sha256").hexdigest()
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    saved = artifact_files().save(storage_key, File(content))
    if saved != storage_key:
        artifact_files().delete(saved)
        raise FileExistsError(storage_key)
    return size, sha256
