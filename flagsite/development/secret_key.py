"""The secret key for development, where SECRET_KEY need not be set."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret_key(folder: Path) -> str:
    """Return the secret key of this data folder. The first call creates it, in a file that only its owner may read."""
    path = folder / "secret_key"
    try:
        return path.read_text()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"secret_key.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(50))
    try:
        os.link(draft, path)  # if two processes create a key, the first key stays
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
