"""The end of artifacts: the clean-up deletes those that have expired, and files without a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice

from django.db import transaction
from django.db.models import Exists, Func, JSONField, OuterRef, Q
from django.db.models.functions import Now

from flagsite.core.db.clock import now
from jobs.artifacts.files import artifact_files
from jobs.artifacts.models import NAME, Artifact, ArtifactQuerySet
from jobs.artifacts.uploads import UPLOADS
from jobs.engine.models import Job
from jobs.engine.states import OPEN
from jobs.operations.cleanup import OldRows

ARTIFACT_ARGUMENT = "artifactId"
"""The argument in which a job names the artifact that it reads."""
BATCH_SIZE = 500
ORPHAN_DAYS = 1
OUR_KEYS = re.compile(rf"(?P<root_id>[0-9]{{1,19}})/[0-9a-f]{{32}}/{NAME}|{UPLOADS}/[0-9a-f]{{32}}")
"""The keys of the files of artifacts; the clean-up deletes nothing else, wherever ARTIFACTS_URL points."""


def expired(days: int | None = None) -> ArtifactQuerySet:
    """Return the artifacts that have expired, without those that jobs that wait or run still need.

    With `days`, these are the artifacts that are older than so many days.
    """
    same = {f"arguments__{ARTIFACT_ARGUMENT}": Func(OuterRef("pk"), function="to_jsonb", output_field=JSONField())}
    needed = Job.objects.filter(status__in=OPEN, **same)  # compared as JSON, which can be null or a text
    old = Q(expires_at__lt=Now()) if days is None else Q(created_at__lt=Now() - timedelta(days=days))
    return Artifact.objects.filter(~Exists(needed), old)


def delete_expired(position: int | None, days: int | None = None) -> tuple[int | None, int]:
    """Delete some expired artifacts in the caller's transaction, and their files after it; see `OldRows`."""
    found = list(expired(days).filter(pk__gt=position or 0).order_by("pk")[:BATCH_SIZE])
    if not found:
        return None, 0
    Artifact.objects.filter(pk__in=[artifact.pk for artifact in found]).delete()
    for artifact in found:
        transaction.on_commit(partial(artifact_files().delete, artifact.storage_key))
    return found[-1].pk, len(found)


def orphans(days: int | None = None) -> Iterator[list[str]]:
    """Yield the keys of files that have no row, are older than a day, and belong to no chain that is open.

    They come in lists, one for each BATCH_SIZE old files of the storage, which is listed once. With `days`, these are
    the files that are older than so many days.
    """
    before = now() - timedelta(days=ORPHAN_DAYS if days is None else days)
    old = (file.key for file in artifact_files().stored_files() if file.modified_at < before)
    ours = (key for key in old if OUR_KEYS.fullmatch(key))
    while keys := list(islice(ours, BATCH_SIZE)):
        yield _without_row(keys)


def _without_row(keys: Sequence[str]) -> list[str]:
    """Return the keys without a row. Open chains are read first, because the end of a chain writes its rows."""
    roots = {key: int(key.partition("/")[0]) for key in keys if not key.startswith(UPLOADS)}
    attempts = Job.objects.filter(Q(pk__in=roots.values()) | Q(parent_job_id__in=roots.values()), status__in=OPEN)
    open_roots = {job.root_id for job in attempts.only("pk", "parent_job_id")}
    with_row = set(Artifact.objects.filter(storage_key__in=keys).values_list("storage_key", flat=True))
    return [key for key in keys if key not in with_row and roots.get(key) not in open_roots]


def delete_orphans(
    position: Iterator[list[str]] | None, days: int | None = None
) -> tuple[Iterator[list[str]] | None, int]:
    """Delete some files without a row; see `OldRows`. The position is the rest of the listing."""
    rest = orphans(days) if position is None else position
    keys = next(rest, None)
    for key in keys or ():
        artifact_files().delete(key)
    return (None, 0) if keys is None else (rest, len(keys))


OLD_ARTIFACTS = OldRows("artifacts", lambda days: expired(days).count(), delete_expired)
ORPHANS = OldRows("filesWithoutArtifact", lambda days: sum(map(len, orphans(days))), delete_orphans)
