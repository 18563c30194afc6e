"""Show the progress of a chain on standard error: a bar on a terminal, and in a pipe one line of text for each step."""

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

FIRST_EXPLANATION_SECONDS = 3.0
"""The time for which a job waits before the command explains why."""
EXPLANATION_INTERVAL_SECONDS = 5.0
STEPS_OF_JOB = 4
"""In a pipe, the command prints a line at each quarter of a job."""
EXIT_STATUS_INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def follow(job: Job) -> Job:
    """Show the progress of the job's chain until the chain has ended, and return the chain's latest attempt.

    Ctrl-C ends the command with exit status 130, while the job goes on. Raises JobNotFound if the chain is deleted
    meanwhile.
    """
    view = ProgressView(terminal.error_console())
    latest = job
    try:
        with view.progress:
            for latest in poll_chain(job.root_id):
                view.show(latest)
    except KeyboardInterrupt:
        command = f"bin/manage job {latest.pk} --follow"
        view.note(f"The command has stopped, and job {latest.pk} goes on. To follow the job again: {command}")
        sys.exit(EXIT_STATUS_INTERRUPTED)
    return latest


class ProgressView:
    """The progress of a chain, as the terminal shows it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(30), TaskProgressColumn(), TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._bar = self.progress.add_task("", total=None, counts="")
        self._last_step: tuple[object, ...] = ()
        self._waiting_job_id: int | None = None
        self._explain_at = 0.0
        self._explanation: str | None = None

    def show(self, job: Job) -> None:
        """Show the progress of the attempt, and the reason if it waits for a long time."""
        done, total = job.processed + job.failed, job.total
        failed = f", {job.failed:,} failed" if job.failed else ""
        counts = f"{job.processed:,} of {total:,}{failed}" if total else f"{job.processed:,}{failed}"
        text = f"job {job.pk} {job.status}, attempt {attempt_word(job)}"
        self.progress.update(self._bar, description=text, completed=done, total=total or None, counts=counts)
        step = (job.pk, job.status, STEPS_OF_JOB * done // total if total else 0)
        if not self._console.is_terminal and step != self._last_step:
            self.note(f"{text}: {counts}")
        self._last_step = step
        self._explain(job)

    def note(self, text: str) -> None:
        """Print a line of text above the bar."""
        self._console.print(terminal.line(text), soft_wrap=True)

    def _explain(self, job: Job) -> None:
        now = time.monotonic()
        if job.started_at is not None or not job.is_open or job.pk != self._waiting_job_id:
            self._waiting_job_id, self._explain_at = job.pk, now + FIRST_EXPLANATION_SECONDS
            return
        if now >= self._explain_at:
            self._explain_at = now + EXPLANATION_INTERVAL_SECONDS
            explanation = waiting_reason.waiting_reason(job.pk)
            if explanation and explanation != self._explanation:
                self.note(explanation)
            self._explanation = explanation
