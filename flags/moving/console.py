"""Files of commands that move flags."""

from __future__ import annotations

from pathlib import Path

from flagsite.core.console.command import Refused


def content_of(file: Path) -> bytes:
    """Return the bytes of a file. Raises Refused if it cannot be opened."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be opened: {error.strerror}.") from error


def write_text(file: Path, text: str) -> None:
    """Write a file. Raises Refused if it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}.") from error
