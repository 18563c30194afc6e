"""Showing a chain until it has ended: a bar on a terminal, a line for each step in a pipe; on standard error."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from flagsite.core.console import terminal
from jobs.console import waiting_reason
from jobs.console.chain_polling import poll_chain
from jobs.console.job_tables import attempt_word
from jobs.engine.models import Job

BEFORE_EXPLAINING = 3.0
"""Seconds that a job may wait before we say why it does."""
BETWEEN_EXPLANATIONS = 5.0
QUARTERS = 4
INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def follow(job: Job) -> Job:
    """Show how the job's chain goes on until it has ended, and return its latest attempt.

    Ctrl-C ends the command, with exit status 130, and not the job. Raises JobNotFound when it is deleted meanwhile.
    """
    view = ProgressView(terminal.error_console())
    latest = job
    try:
        with view.progress:
            for latest in poll_chain(job.root_id):
                view.show(latest)
    except KeyboardInterrupt:
        view.note(f"Stopped watching; job {latest.pk} goes on. See it again: bin/manage job {latest.pk} --follow")
        sys.exit(INTERRUPTED)
    return latest


class ProgressView:
    """What a person sees of a chain that goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(30), TaskProgressColumn(), TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._bar = self.progress.add_task("", total=None, counts="")
        self._told: tuple[object, ...] = ()
        self._waiting_for: int | None = None
        self._explain_at = 0.0
        self._explanation: str | None = None

    def show(self, job: Job) -> None:
        """Show how far it is, and why it waits if it does so for long."""
        done, total = job.processed + job.failed, job.total
        counts = f"{done:,} of {total:,}" if total else f"{done:,}"
        words = f"job {job.pk} {job.status}, attempt {attempt_word(job)}"
        self.progress.update(self._bar, description=words, completed=done, total=total or None, counts=counts)
        step = (job.pk, job.status, QUARTERS * done // total if total else 0)
        if not self._console.is_terminal and step != self._told:
            self.note(f"{words}: {counts}")
        self._told = step
        self._explain(job)

    def note(self, words: str) -> None:
        """A line above the bar."""
        self._console.print(terminal.line(words), soft_wrap=True)

    def _explain(self, job: Job) -> None:
        now = time.monotonic()
        if job.started_at is not None or not job.is_open or job.pk != self._waiting_for:
            self._waiting_for, self._explain_at = job.pk, now + BEFORE_EXPLAINING
            return
        if now >= self._explain_at:
            self._explain_at = now + BETWEEN_EXPLANATIONS
            explanation = waiting_reason.reason_to_wait(job.pk)
            if explanation and explanation != self._explanation:
                self.note(explanation)
            self._explanation = explanation
