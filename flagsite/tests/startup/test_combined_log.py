"""The log of bin/demo and bin/dev: who may read it, and what a full disk does to it."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from flagsite.development.servers import combined_log
from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.log_file import open_log_file


class Disk:
    """Takes the place of os.write in the log: it has room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, file: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, data[: self.room])
        self.room -= written
        return written


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_lines_without_room_are_left_out_and_counted_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CombinedLog(tmp_path / "flagsite.log", Console(file=io.StringIO()))
    disk = Disk(room=25)

    class FullDisk:
        close, write = staticmethod(os.close), disk.write

    monkeypatch.setattr(combined_log, "os", FullDisk)
    log.write("web", "first")  # 15 bytes
    log.write("web", "the second has no room")
    log.write("web", "the third neither")
    disk.room = 1000
    log.write("web", "there is room again")
    log.write("worker", "as ever")
    log.close()
    assert (tmp_path / "flagsite.log").read_text().splitlines() == [
        "web      first",
        "web      t",
        "start    2 lines were left out, because the log could not be written",
        "web      there is room again",
        "worker   as ever",
    ]


def test_a_terminal_that_is_gone_does_not_keep_the_line_from_the_file(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "gone")

    log = CombinedLog(tmp_path / "flagsite.log", Console(file=Gone()))
    log.echo = True
    log.write("web", "said")
    log.close()
    assert (tmp_path / "flagsite.log").read_text() == "web      said\n"


def test_only_the_owner_may_read_a_log_its_predecessor_and_one_that_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "flagsite.log"
    path.write_text("of an earlier version\n")
    path.chmod(0o644)
    os.close(open_log_file(path, largest=5))
    assert (tmp_path / "flagsite.log.old").read_text() == "of an earlier version\n"
    assert (mode(path), mode(tmp_path / "flagsite.log.old")) == (0o600, 0o600)
    path.chmod(0o644)
    os.close(open_log_file(path, largest=5))
    assert mode(path) == 0o600
