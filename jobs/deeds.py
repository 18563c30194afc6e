"""The same deed on several jobs: what was done, what was refused and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Column

from jobs.errors import JobNotFound
from jobs.models import Job
from jobs.showing import status_word
from orgs import terminal
from orgs.errors import FlagsiteError
from orgs.operator_command import Answer


@dataclass(frozen=True, slots=True)
class Deed:
    """A job that was named, and the attempt that the deed concerned, or why it was refused."""

    job_id: int
    attempt: Job | None = None
    refusal: str = ""


def do_each(job_ids: Sequence[int], do: Callable[[int], Job]) -> list[Deed]:
    """Do it to every job, each once; a refusal of one does not keep the others from it."""
    return [_do(job_id, do) for job_id in dict.fromkeys(job_ids)]


def _do(job_id: int, do: Callable[[int], Job]) -> Deed:
    try:
        return Deed(job_id, do(job_id))
    except JobNotFound:
        return Deed(job_id, refusal=f"There is no job {job_id}.")
    except FlagsiteError as error:
        return Deed(job_id, refusal=error.detail)


def deeds_answer(deeds: Sequence[Deed], *, word: str, key: str) -> Answer:
    """The deeds as a command's answer; one that was refused makes it a failed one."""
    results = [
        {
            "jobId": deed.job_id,
            key: deed.attempt.pk if deed.attempt else None,
            "status": deed.attempt.status if deed.attempt else None,
            "refused": deed.refusal or None,
        }
        for deed in deeds
    ]
    table = terminal.table(Column("Job", justify="right", no_wrap=True), Column("Done or refused", overflow="fold"))
    for deed in deeds:
        if deed.attempt:
            words = terminal.line(f"{word} {deed.attempt.pk}, ").append_text(status_word(deed.attempt))
        else:
            words = terminal.line(deed.refusal, style="red")
        table.add_row(*terminal.cells(str(deed.job_id), words))
    refused = sum(not deed.attempt for deed in deeds)
    shown: list[RenderableType] = [table]
    if len(deeds) > 1:
        shown.append(f"{len(deeds) - refused:,} done, {refused:,} refused.")
    document = {"done": len(deeds) - refused, "refused": refused, "results": results}
    return Answer(document, shown, failed=bool(refused))
