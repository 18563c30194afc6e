"""The bodies of requests and answers, which need not fit into memory."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import deque
from typing import IO

from flagsite.web_server.limits import BODY_BYTES_WITHOUT_FILE

PART_BYTES = 2**16


class RequestBody:
    """The parts of a body that comes in several parts, in a temporary file where it is long."""

    def __init__(self) -> None:
        self.size = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(BODY_BYTES_WITHOUT_FILE)  # noqa: SIM115

    def add(self, part: bytes) -> None:
        """Add the next part."""
        self.size += len(part)
        self._file.write(part)

    def as_input(self) -> IO[bytes]:
        """The whole body, as a file at its beginning."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


def input_of(body: bytes | RequestBody) -> IO[bytes]:
    """What an application reads the body from."""
    return io.BytesIO(body) if isinstance(body, bytes) else body.as_input()


class AnswerParts:
    """The parts of an answer between the thread that makes them and the event loop that sends them.

    The thread never waits for a client that reads slowly: what is not sent yet is kept, in a file where it is much.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: deque[bytes] = deque()
        self._kept = 0
        self._file: IO[bytes] | None = None
        self._written = self._read = 0
        self._ended = self._closed = False

    def add(self, part: bytes) -> None:
        """Add the next part. Raises BrokenPipeError where the client is gone, and OSError where the disk is full."""
        with self._lock:
            if self._closed:
                raise BrokenPipeError
            if self._file is None and self._kept + len(part) <= BODY_BYTES_WITHOUT_FILE:
                self._parts.append(part)
                self._kept += len(part)
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
            remaining = memoryview(part)
            while remaining:
                count = os.pwrite(self._file.fileno(), remaining, self._written)
                self._written += count
                remaining = remaining[count:]

    def end(self) -> None:
        """There are no more parts."""
        with self._lock:
            self._ended = True

    def next(self) -> bytes | None:
        """The next bytes to send; None where there are none yet, and empty at the end."""
        with self._lock:
            if self._parts:
                part = self._parts.popleft()
                self._kept -= len(part)
                return part
            if self._file is not None and self._read < self._written:
                part = os.pread(self._file.fileno(), PART_BYTES, self._read)
                self._read += len(part)
                return part
            return b"" if self._ended or self._closed else None

    def close(self) -> None:
        """Forget everything: all is sent, or the client is gone."""
        with self._lock:
            self._closed = True
            self._parts.clear()
            if self._file is not None:
                self._file.close()
                self._file = None
