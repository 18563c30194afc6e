"""Show a job."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType

from flagsite.core.console.arguments import row_id
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.console import waiting_reason
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import (
    attempt_documents,
    attempts_table,
    documents_of,
    failure_documents,
    failures_table,
    job_facts,
)
from jobs.engine import chains
from jobs.engine.chains import TrackedJob
from jobs.engine.models import Job, JobFailure
from jobs.errors import JobNotFound

MAX_FAILURES, MAX_ATTEMPTS = 100, 500


class Command(OperatorCommand):
    help = (
        "Show a job: its progress, its chain of attempts, and the organizations that failed. --follow shows the "
        "progress until the chain has ended; then the exit status is 0 only if the chain COMPLETED without failures."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=row_id, metavar="ID", help="any attempt of the chain")
        parser.add_argument("--follow", action="store_true", help="show the progress until the chain has ended")

    def answer(self, *, id: int, follow: bool, **options: Any) -> Answer:  # noqa: A002 - the argument's name
        return show(id, wait_for_end=follow)


def show(job_id: int, *, wait_for_end: bool) -> Answer:
    """The facts about a job and its chain. `wait_for_end` shows the progress first. Raises JobNotFound."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound(f"There is no job {job_id}.")
    failed = False
    if wait_for_end:
        latest = follow(job)
        failed = not succeeded(latest)
        job.refresh_from_db()
    attempts = list(Job.objects.of_chain(job.root_id).reverse()[:MAX_ATTEMPTS])[::-1]
    (one,) = chains.tracked([job])
    failures = list(
        JobFailure.objects.filter(job_id=one.chain.latest_job_id).order_by("organization_id")[:MAX_FAILURES]
    )
    latest = attempts[-1]
    waits_for = waiting_reason.waiting_reason(latest.pk)
    document = {
        "job": documents_of([one])[0],
        "attempts": attempt_documents(chains.tracked(attempts)),
        "failures": failure_documents(failures),
        "moreFailures": latest.failed > len(failures),
        "waitsFor": waits_for,
    }
    return Answer(document, _output(one, attempts, failures, waits_for), failed)


def _output(
    one: TrackedJob, attempts: list[Job], failures: list[JobFailure], waits_for: str | None
) -> list[RenderableType]:
    output: list[RenderableType] = [job_facts(one)]
    if waits_for:
        output += ["", waits_for]
    if one.standing.result is not None:
        output += ["", "Result:", *json.dumps(one.standing.result, ensure_ascii=False, indent=2).splitlines()]
    if one.artifacts:
        root = one.chain.root_job_id
        output += ["", "Artifacts:", *(f"bin/manage save_artifact {root} {file.name}" for file in one.artifacts)]
    if len(attempts) > 1:
        output += ["", "The whole chain:", attempts_table(attempts)]
    if failures:
        latest = attempts[-1]
        output += ["", f"Organizations that failed in job {latest.pk}:", failures_table(failures)]
        if latest.failed > len(failures):
            output.append(f"and {latest.failed - len(failures):,} more.")
    return output
