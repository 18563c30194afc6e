"""Tasks of a shop, as a host project writes them."""

from __future__ import annotations

from typing import Any

from django_tasks import task

from jobs.django_tasks.task_job import JobContext
from jobs.errors import PermanentFailure

left_failures: list[Exception] = []
"""What the next calls of `unlucky` in this process raise."""


@task
def add(first: int, second: int = 0) -> int:
    return first + second


@task(priority=7)
async def greet(name: str) -> dict[str, Any]:
    return {"hello": [name, None, 1.5]}


@task
def unlucky(word: str) -> str:
    if left_failures:
        raise left_failures.pop(0)
    return word


@task
def always_fails() -> None:
    raise LookupError("no luck:\nnever")


@task
def hopeless() -> None:
    raise PermanentFailure("The customer is gone.")


@task
def returns(what: str) -> Any:
    return {"nan": float("nan"), "nul": "\0", "object": object(), "long": "x" * 100_000}[what]


@task(takes_context=True)
def counts_to(context: JobContext, last: int) -> dict[str, Any]:
    """Count in steps that a worker may stop between, and go on from the checkpoint. The first attempt fails at 3."""
    begin = (context.run.job.checkpoint or {}).get("done", 0)
    for number in range(begin, last):
        context.run.record_progress(processed=1, total=last, checkpoint={"done": number + 1})
        context.run.check()
        if left_failures and number == 3:
            raise left_failures.pop()
    return {"attempt": context.attempt, "began": begin, "id": context.task_result.id}


def no_task() -> None:
    """A function without the decorator."""
