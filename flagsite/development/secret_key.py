"""A secret key for development, so that it needs no settings."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret_key(folder: Path) -> str:
    """The secret key of this data folder. The first call makes it; only its owner may read the file."""
    path = folder / "secret_key"
    try:
        return path.read_text()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"secret_key.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(50))
    try:
        os.link(draft, path)  # of two processes at once the first one's stays
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
