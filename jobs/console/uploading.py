"""Files of commands that become artifacts."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from flagsite.core.console.command import Refused
from jobs.artifacts.models import Artifact
from jobs.artifacts.upload_parsers import AnyFile
from jobs.artifacts.uploads import upload
from orgs.tree.console import everything


def upload_file(file: Path, *, reason: str) -> Artifact:
    """Upload a file for a job. Raises Refused if it cannot be opened, and TooManyUploads."""
    media_type = mimetypes.guess_type(file.name)[0] or AnyFile.media_type
    try:
        with file.open("rb") as content:
            return upload(everything(), content, name=file.name, media_type=media_type, reason=reason)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}.") from None
