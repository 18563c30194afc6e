"""Jobs in the output of commands: tables and texts for people, and for programs the API's JSON with more fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from jobs.api.serializers import FailureSerializer, JobSerializer
from jobs.engine.chains import Chain, chains_of
from jobs.engine.models import Job, JobFailure
from jobs.engine.states import Status
from orgs.tree.models import Organization

WIDE_TERMINAL_COLUMNS = 100
"""The width of a terminal that shows all columns of the table of jobs."""
STYLES = {
    Status.PENDING: "blue",
    Status.IN_PROGRESS: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.RETRYING: "yellow",
    Status.CANCELLED: "dim",
}


def documents_of(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The jobs as JSON of the API, with additional fields for operators. Two queries serve all jobs."""
    chains, organizations = chains_of(jobs), organizations_named(jobs)
    return [_document(job, chains, organizations.get(job.organization_id or 0)) for job in jobs]


def organizations_named(rows: Iterable[Job | JobFailure]) -> dict[int, Organization]:
    """The organizations of the rows that still exist, by id."""
    return Organization.objects.in_bulk({row.organization_id for row in rows if row.organization_id})


class JobsTable:
    """A table with one row for each job. A narrow terminal shows fewer columns; the command `job ID` has the rest."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._organizations = organizations_named(jobs)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE_TERMINAL_COLUMNS
        table = terminal.table(
            Column("Job", justify="right", no_wrap=True), Column("Status", no_wrap=True),
            Column("Done", justify="right", no_wrap=True), Column("Organization", overflow="fold"),
            Column("Work", overflow="fold"), *([Column("Attempt"), Column("Queue")] if wide else []),
            Column("Created (UTC)" if wide else "Created", no_wrap=True),
        )  # fmt: skip
        for job in self._jobs:
            table.add_row(*terminal.cells(*self._row(job, wide=wide)))
        yield table

    def _row(self, job: Job, *, wide: bool) -> list[Any]:
        organization = organization_word(job.organization_id, self._organizations)
        created = terminal.format_time(job.created_at)
        cells: list[Any] = [str(job.pk), status_word(job), done_word(job), organization, work_word(job)]
        return [*cells, attempt_word(job), job.queue, created] if wide else [*cells, created[5:-3]]


def job_facts(job: Job, chain: Chain) -> Table:
    """The facts about one attempt as a table, without its chain and its failures."""
    named = organizations_named([job])
    chain_status = Text(chain.status, style=STYLES[Status(chain.status)]) if chain.latest_job_id != job.pk else None
    counts = f"{job.unchanged:,} had the value already, {job.superseded:,} had a newer value, {job.failed:,} failed"
    return terminal.facts(
        [
            ("job", str(job.pk)),
            ("status", status_word(job)),
            ("chain", chain_status),
            ("organization", organization_word(job.organization_id, named)),
            ("work", work_word(job)),
            ("done", f"{done_word(job) or 0}: {counts}" if job.started_at else None),
            ("attempt", f"{attempt_word(job)}, created by {job.get_trigger_display().lower()}"),
            ("queue", f"{job.queue}, priority {job.priority}"),
            ("requested by", job.requested_by),
            ("reason", job.reason),
            ("cancelled by", ": ".join(filter(None, (job.cancelled_by, job.cancel_reason)))),
            ("correlation id", job.correlation_id),
            ("worker", job.worker),
            ("created", terminal.format_time(job.created_at)),
            ("due", terminal.format_time(job.run_at) if job.status == Status.PENDING else None),
            ("started", terminal.format_time(job.started_at)),
            ("ended", terminal.format_time(job.completed_at)),
            ("took", terminal.format_duration(job.duration) if job.duration else None),
            ("error", Text(terminal.plain(job.error_message), style="red") if job.error_message else None),
        ]
    )


def attempts_table(attempts: Sequence[Job]) -> Table:
    """A table of a chain with one row for each attempt, oldest first."""
    table = terminal.table(
        Column("Job", justify="right", no_wrap=True), Column("Status", no_wrap=True), Column("Created by"),
        Column("Waited", no_wrap=True), Column("Took", no_wrap=True), Column("Done", no_wrap=True),
        Column("Error", overflow="fold"),
    )  # fmt: skip
    for job in attempts:
        waited = (job.started_at or job.completed_at or timezone.now()) - job.created_at
        creator = "the failure before it"
        if job.trigger != Job.Trigger.AUTOMATIC:
            creator = f"{job.requested_by}: {job.reason}" if job.reason else job.requested_by
        table.add_row(
            *terminal.cells(
                str(job.pk), status_word(job), creator, terminal.format_duration(max(waited, timedelta())),
                terminal.format_duration(job.duration) if job.duration else "", done_word(job),
                job.error_message,
            )
        )  # fmt: skip
    return table


def failures_table(failures: Sequence[JobFailure]) -> Table:
    """A table with one row for each organization that failed."""
    named = organizations_named(failures)
    table = terminal.table(Column("Organization", no_wrap=True), Column("Error", overflow="fold"))
    for failure in failures:
        table.add_row(*terminal.cells(organization_word(failure.organization_id, named), failure.error))
    return table


def failure_documents(failures: Sequence[JobFailure]) -> list[dict[str, Any]]:
    """The failures as JSON of the API."""
    context = {"organizations": organizations_named(failures)}
    return [dict(FailureSerializer(failure, context=context).data) for failure in failures]


def status_word(job: Job) -> Text:
    """The attempt's status in its colour, with a note if a person has cancelled the attempt while it runs."""
    is_stopping = job.cancel_requested_at is not None and job.is_open
    return Text(f"{job.status}{' (cancelling)' if is_stopping else ''}", style=STYLES[Status(job.status)])


def done_word(job: Job) -> str:
    """The progress of the attempt, such as "2,120 of 5,270"; empty if nothing is done yet."""
    done = job.processed + job.failed
    if job.total:
        return f"{done:,} of {job.total:,}" if done < job.total else f"{done:,}"
    return f"{done:,}" if done else ""


def attempt_word(job: Job) -> str:
    """The number of the attempt in its round and the number of attempts in a round, such as "2/4"."""
    return f"{job.round_attempt + 1}/{job.max_retries + 1}"


def work_word(job: Job) -> str:
    """The work of the job: the flag and its value, or else the kind of work, with a flag if it concerns one."""
    flag, enabled = job.arguments.get("featureFlagName"), job.arguments.get("enabled")
    if flag and enabled is not None:
        return f"{flag} {'on' if enabled else 'off'}"
    return f"{job.kind} {flag}" if flag else job.kind


def organization_word(organization_id: int | None, named: dict[int, Organization]) -> str:
    """The key of the organization, or its id if the organization is deleted."""
    if organization_id is None:
        return ""
    return named[organization_id].key if organization_id in named else f"id {organization_id}, deleted"


def _document(job: Job, chains: dict[int, Chain], organization: Organization | None) -> dict[str, Any]:
    document: dict[str, Any] = dict(JobSerializer(job, context={"chains": chains}).data)
    return document | {
        "kind": job.kind,
        "organizationKey": organization.key if organization else None,
        "queue": job.queue,
        "priority": job.priority,
        "trigger": job.trigger,
        "attemptOfRound": job.round_attempt + 1,
        "unchangedOrganizations": job.unchanged,
        "requestedBy": job.requested_by,
        "reason": job.reason,
        "cancelledBy": job.cancelled_by,
        "cancelReason": job.cancel_reason,
        "cancelRequestedAt": terminal.iso(job.cancel_requested_at),
        "correlationId": job.correlation_id,
        "worker": job.worker,
        "dueAt": terminal.iso(job.run_at),
    }
