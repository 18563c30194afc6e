"""What runs here: the version, and the commit where it is known."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

VERSION = "1.0.0"


@functools.cache
def about() -> dict[str, str]:
    """Version and commit (empty when unknown). Open to all, thus nothing of what it runs on."""
    return {
        "version": VERSION,
        "commit": settings.FLAGSITE_COMMIT or _checked_out(settings.BASE_DIR),
    }


def _checked_out(checkout: Path) -> str:
    """The commit of a git checkout, read from its files: git itself may not be there."""
    try:
        folder = checkout / ".git"
        if folder.is_file():  # a worktree names its folder
            folder = checkout / folder.read_text().partition("gitdir:")[2].strip()
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        shared = folder / "commondir"
        common = folder / shared.read_text().strip() if shared.exists() else folder
        if (common / name).exists():
            return (common / name).read_text().strip()
        packed = (common / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except OSError:
        return ""
