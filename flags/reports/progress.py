"""The progress of a report that is being made: its rows so far, and whether a person has cancelled it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import structlog
from django.db import connection, transaction

from flags.reports.figures import Figures, Row
from flagsite.core.background import BackgroundService
from jobs.engine import lifecycle
from jobs.engine.run import Run
from jobs.errors import CancelRequested, LeaseLost

log = structlog.get_logger(__name__)
BLOCK_SIZE = 1_000
"""Rows between two looks at whether the work must end."""


class ReportProgress(BackgroundService):
    """Writes the number of rows once a second, and reads whether the job is cancelled.

    It has a database connection of its own, because the work is in a snapshot, which writes nothing.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(f"progress of report {run.job.pk}")
        self._run = run
        self._rows = 0
        self._written = 0
        self._is_cancelled = False

    def counted(self, figures: Figures) -> Figures:
        """Return the same figures, whose rows are counted while a writer reads them."""
        tables = [
            table if isinstance(table.rows, list) else replace(table, rows=self._count(table.rows))
            for table in figures.tables
        ]
        return replace(figures, tables=tables)

    def check(self) -> None:
        """Raise CancelRequested, LeaseLost, StopRequested or AttemptTimedOut if the work must end here."""
        if self._is_cancelled:
            raise CancelRequested
        self._run.check()

    @property
    def unwritten(self) -> int:
        """The rows that no turn has written. Read this after the end of the service."""
        return self._rows - self._written

    def turn(self) -> None:
        """Write the rows since the last turn, and read whether the job is cancelled."""
        rows = self._rows
        with transaction.atomic():
            self._is_cancelled |= lifecycle.record_progress(
                job_id=self._run.job.pk, lease=self._run.lease, processed=rows - self._written
            )
        self._written = rows

    def pause(self) -> float:
        """Return the seconds between two turns."""
        return 1.0

    def on_error(self, error: Exception) -> None:
        """Log that the database does not answer. A lost lease ends the work itself (`Run.check`)."""
        if not isinstance(error, LeaseLost):
            log.warning("report_progress_failed", jobId=self._run.job.pk, error=str(error))
        connection.close()

    def on_end(self) -> None:
        """Close the thread's own connection."""
        connection.close()

    def _count(self, rows: Iterable[Row]) -> Iterator[Row]:
        number = 0
        for number, row in enumerate(rows, 1):
            yield row
            if number % BLOCK_SIZE == 0:
                self._rows += BLOCK_SIZE
                self.check()
        self._rows += number % BLOCK_SIZE
