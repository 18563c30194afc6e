"""The same done to each job that a command names: what came of it, what was refused and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, result_of_each
from flagsite.core.errors import FlagsiteError
from jobs.console.job_tables import status_word
from jobs.engine.models import Job
from jobs.errors import JobNotFound


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that was named, and the attempt that it was done to, or why it was refused."""

    job_id: int
    attempt: Job | None = None
    refusal: str = ""


def do_each(job_ids: Sequence[int], do: Callable[[int], Job]) -> list[JobResult]:
    """Do it to every job, each once; a refusal of one does not keep the others from it."""
    return [_do(job_id, do) for job_id in dict.fromkeys(job_ids)]


def _do(job_id: int, do: Callable[[int], Job]) -> JobResult:
    try:
        return JobResult(job_id, do(job_id))
    except JobNotFound:
        return JobResult(job_id, refusal=f"There is no job {job_id}.")
    except FlagsiteError as error:
        return JobResult(job_id, refusal=error.detail)


def outcomes_answer(outcomes: Sequence[JobResult], *, word: str, key: str) -> Answer:
    """The outcomes as a command's answer; one job that was refused makes it a failed one."""
    results = [
        {
            "jobId": outcome.job_id,
            key: outcome.attempt.pk if outcome.attempt else None,
            "status": outcome.attempt.status if outcome.attempt else None,
            "refused": outcome.refusal or None,
        }
        for outcome in outcomes
    ]
    table = terminal.table(Column("Job", justify="right", no_wrap=True), Column("Done or refused", overflow="fold"))
    for outcome in outcomes:
        if outcome.attempt:
            words = terminal.line(f"{word} {outcome.attempt.pk}, ").append_text(status_word(outcome.attempt))
        else:
            words = terminal.line(outcome.refusal, style="red")
        table.add_row(*terminal.cells(str(outcome.job_id), words))
    refused = sum(not outcome.attempt for outcome in outcomes)
    return result_of_each(results, [table], refused=refused)
