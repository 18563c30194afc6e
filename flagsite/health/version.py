"""The version and the commit of the running Flagsite."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

VERSION = "1.0.0"


@functools.cache
def about() -> dict[str, str]:
    """Return the version and the commit (empty if not known). Everybody may read them."""
    return {
        "version": VERSION,
        "commit": settings.FLAGSITE_COMMIT or _commit_of(settings.BASE_DIR),
    }


def _commit_of(checkout: Path) -> str:
    """Read the commit of a git checkout from its files, because git may not be installed."""
    try:
        folder = checkout / ".git"
        if folder.is_file():  # of a worktree; it names the folder
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
