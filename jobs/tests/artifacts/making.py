"""Jobs that make artifacts, and the file storages of tests."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.artifacts.files import LocalFiles, artifact_files
from jobs.engine import lifecycle, runner
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.tests.engine_steps import KIND, doing

CONTENT = b"key,name\noslo,Oslo\n"


def make(*names: str, content: bytes = CONTENT, organization_id: int | None = None) -> Job:
    """A job that has made artifacts with these names."""
    job = lifecycle.create(kind=KIND, organization_id=organization_id, requested_by="user:olga", priority=1000)
    with doing(lambda run: write(run, names, content)):
        runner.run_next(job.queue)
    job.refresh_from_db()
    return job


def write(run: Run, names: Sequence[str], content: bytes = CONTENT) -> None:
    """Write artifacts as the work of a job."""
    for name in names:
        with run.artifact(name, "text/csv") as file:
            file.write(content)


def stored() -> list[str]:
    """The keys of all files."""
    return sorted(file.key for file in artifact_files().stored_files())


def age(key: str, *, days: float = 2) -> None:
    """Let a file on the disk be so many days old."""
    files = artifact_files()
    assert isinstance(files, LocalFiles)
    moment = time.time() - days * 86_400
    os.utime(Path(files.path(key)), (moment, moment))


def content_of(answer: Any) -> bytes:
    """The content of an answer with a file."""
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)
