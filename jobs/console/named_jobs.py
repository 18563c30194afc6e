"""One operation on each of the jobs that a command names, and the table of the results."""

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
    """The result for one named job: the attempt on which the operation was done, or the refusal's reason."""

    job_id: int
    attempt: Job | None = None
    refusal: str = ""


def do_on_each(job_ids: Sequence[int], operation: Callable[[int], Job]) -> list[JobResult]:
    """Do the operation on each job once, also after a refusal for another job.

    `operation` takes the id of a job and returns the attempt on which it was done.
    """
    return [_do(job_id, operation) for job_id in dict.fromkeys(job_ids)]


def _do(job_id: int, operation: Callable[[int], Job]) -> JobResult:
    try:
        return JobResult(job_id, operation(job_id))
    except JobNotFound:
        return JobResult(job_id, refusal=f"There is no job {job_id}.")
    except FlagsiteError as error:
        return JobResult(job_id, refusal=error.detail)


def results_answer(results: Sequence[JobResult], *, text: str, key: str) -> Answer:
    """The results as the answer of a command. The command has failed if an operation was refused for any job.

    `text` stands before the id of the attempt for people, `key` is the JSON field of this id.
    """
    documents = [
        {
            "jobId": result.job_id,
            key: result.attempt.pk if result.attempt else None,
            "status": result.attempt.status if result.attempt else None,
            "refused": result.refusal or None,
        }
        for result in results
    ]
    table = terminal.table(Column("Job", justify="right", no_wrap=True), Column("Result", overflow="fold"))
    for result in results:
        if result.attempt:
            cell = terminal.line(f"{text} {result.attempt.pk}, ").append_text(status_word(result.attempt))
        else:
            cell = terminal.line(result.refusal, style="red")
        table.add_row(*terminal.cells(str(result.job_id), cell))
    refused = sum(not result.attempt for result in results)
    return result_of_each(documents, [table], refused=refused)
