"""The progress of an import that runs: shown to people while its transaction is open, and ended if they cancel it."""

from __future__ import annotations

import structlog
from django.db import connection

from flagsite.core.background import BackgroundService
from jobs.engine.models import Job
from jobs.engine.run import Run
from jobs.errors import CancelRequested
from jobs.imports.models import OrganizationImport
from orgs.importing import importer

log = structlog.get_logger(__name__)


class ImportProgress(BackgroundService):
    """Writes the progress once a second, and reads whether a person has cancelled the job.

    It has a database connection of its own, because the rows of the import's own transaction are invisible to others
    until its end.
    """

    def __init__(self, run: Run, *, file_size: int) -> None:
        super().__init__(f"progress of import {run.job.pk}")
        self._run = run
        self._file_size = file_size
        self._now: tuple[str, int, int | None] = ("", 0, None)
        self._is_cancelled = False

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Keep the progress of the importer. Raises CancelRequested, LeaseLost or StopRequested."""
        self._now = (step, done, self._file_size if step == importer.READING else total)
        if self._is_cancelled:
            raise CancelRequested
        self._run.check()

    def turn(self) -> None:
        """Write the progress, and read whether the job is cancelled."""
        step, done, total = self._now
        imports = OrganizationImport.objects.filter(job_id=self._run.job.root_id)
        imports.update(step=step, done=done, step_total=total)
        cancelled = Job.objects.filter(pk=self._run.job.pk, cancel_requested_at__isnull=False)
        self._is_cancelled = self._is_cancelled or cancelled.exists()

    def pause(self) -> float:
        """Return the seconds between two turns."""
        return 1.0

    def on_error(self, error: Exception) -> None:
        """Log that the database does not answer. The next turn opens a new connection."""
        log.warning("import_progress_failed", jobId=self._run.job.pk, error=str(error))
        connection.close()

    def on_end(self) -> None:
        """Close the thread's own connection."""
        connection.close()
