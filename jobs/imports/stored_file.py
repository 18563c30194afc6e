"""Uploaded files in the database, in parts, so that every worker can read them and no crash loses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from jobs.engine.models import Job
from jobs.engine.states import OPEN
from jobs.imports.models import ImportFile, ImportFilePart, OrganizationImport
from jobs.operations.cleanup import OldRows

PART_BYTES = 2**20
KEPT_HOURS = 24
"""How long a file is kept after its upload, for a retry or for the import after a dry run."""


def store(content: BinaryIO, *, name: str = "") -> ImportFile:
    """Store a file, in the transaction of the calling code. Memory holds one part at a time."""
    file = ImportFile.objects.create(name=name[:255], size=0)
    for number, part in enumerate(iter(partial(content.read, PART_BYTES), b"")):
        ImportFilePart.objects.create(file=file, number=number, content=part)
        file.size += len(part)
    file.save(update_fields=["size"])
    return file


@contextmanager
def opened(file: ImportFile) -> Iterator[BinaryIO]:
    """Yield the content as a temporary file, which needs no transaction and no memory."""
    with TemporaryFile() as copy:
        for number in range(-(-file.size // PART_BYTES)):
            copy.write(ImportFilePart.objects.get(file=file, number=number).content)
        copy.seek(0)
        yield copy


def old_files(days: int | None = None) -> QuerySet[ImportFile]:
    """Return the files that are older than KEPT_HOURS or `days`, without those of jobs that wait or run."""
    kept = timedelta(hours=KEPT_HOURS) if days is None else timedelta(days=days)
    open_jobs = Job.objects.filter(status__in=OPEN)
    of_open_chain = OrganizationImport.objects.filter(file=OuterRef("pk")).filter(
        Exists(open_jobs.filter(pk=OuterRef("job_id"))) | Exists(open_jobs.filter(parent_job_id=OuterRef("job_id")))
    )
    return ImportFile.objects.filter(~Exists(of_open_chain), created_at__lt=Now() - kept)


def delete_old(position: int | None, days: int | None = None) -> tuple[int | None, int]:
    """Delete one old file; for the clean-up. Returns the next position, None at the end, and the number of files."""
    file = old_files(days).filter(pk__gt=position or 0).order_by("pk").first()
    if file is None:
        return None, 0
    position = file.pk
    file.delete()
    return position, 1


OLD_FILES = OldRows("importFiles", lambda days: old_files(days).count(), delete_old)
