"""How commands show jobs: as tables and words to people, as the API's JSON with more beside it to programs."""

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

WIDE_ENOUGH = 100
"""Columns of a terminal for the whole table of jobs."""
STYLES = {
    Status.PENDING: "blue",
    Status.IN_PROGRESS: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.RETRYING: "yellow",
    Status.CANCELLED: "dim",
}


def documents_of(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The jobs as the API answers them, with what operators want to know besides; two queries for all."""
    chains, organizations = chains_of(jobs), organizations_named(jobs)
    return [_document(job, chains, organizations.get(job.organization_id or 0)) for job in jobs]


def organizations_named(rows: Iterable[Job | JobFailure]) -> dict[int, Organization]:
    """The organizations of the rows that still exist, by id."""
    return Organization.objects.in_bulk({row.organization_id for row in rows if row.organization_id})


class JobsTable:
    """A job a row; on a narrow terminal without what can be had from `job ID`."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._organizations = organizations_named(jobs)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE_ENOUGH
        table = terminal.table(
            Column("Job", justify="right", no_wrap=True), Column("Status", no_wrap=True),
            Column("Done", justify="right", no_wrap=True), Column("Organization", overflow="fold"),
            Column("Work", overflow="fold"), *([Column("Try"), Column("Queue")] if wide else []),
            Column("Created (UTC)" if wide else "Created", no_wrap=True),
        )  # fmt: skip
        for job in self._jobs:
            table.add_row(*terminal.cells(*self._row(job, wide=wide)))
        yield table

    def _row(self, job: Job, *, wide: bool) -> list[Any]:
        where, created = (
            organization_word(job.organization_id, self._organizations),
            terminal.format_time(job.created_at),
        )
        first: list[Any] = [str(job.pk), status_word(job), done_word(job), where, work_word(job)]
        return [*first, attempt_word(job), job.queue, created] if wide else [*first, created[5:-3]]


def job_facts(job: Job, chain: Chain) -> Table:
    """What there is to know of one attempt, without its chain and failures."""
    named = organizations_named([job])
    how_it_goes_on = Text(chain.status, style=STYLES[Status(chain.status)]) if chain.latest_job_id != job.pk else None
    counts = f"{job.unchanged:,} had the value before, {job.superseded:,} a newer one, {job.failed:,} failed"
    return terminal.facts(
        [
            ("job", str(job.pk)),
            ("status", status_word(job)),
            ("chain", how_it_goes_on),
            ("organization", organization_word(job.organization_id, named)),
            ("work", work_word(job)),
            ("done", f"{done_word(job) or 0}: {counts}" if job.started_at else None),
            ("attempt", f"{attempt_word(job)}, because of {job.get_trigger_display().lower()}"),
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
    """A chain, oldest first: an attempt a row."""
    table = terminal.table(
        Column("Attempt", justify="right", no_wrap=True), Column("Status", no_wrap=True), Column("Because of"),
        Column("Waited", no_wrap=True), Column("Took", no_wrap=True), Column("Done", no_wrap=True),
        Column("Error", overflow="fold"),
    )  # fmt: skip
    for job in attempts:
        waited = (job.started_at or job.completed_at or timezone.now()) - job.created_at
        because = "the failure before"
        if job.trigger != Job.Trigger.AUTOMATIC:
            because = f"{job.requested_by}: {job.reason}" if job.reason else job.requested_by
        table.add_row(
            *terminal.cells(
                str(job.pk), status_word(job), because, terminal.format_duration(max(waited, timedelta())),
                terminal.format_duration(job.duration) if job.duration else "", done_word(job),
                job.error_message,
            )
        )  # fmt: skip
    return table


def failures_table(failures: Sequence[JobFailure]) -> Table:
    """An organization that failed a row."""
    named = organizations_named(failures)
    table = terminal.table(Column("Organization", no_wrap=True), Column("Error", overflow="fold"))
    for failure in failures:
        table.add_row(*terminal.cells(organization_word(failure.organization_id, named), failure.error))
    return table


def failure_documents(failures: Sequence[JobFailure]) -> list[dict[str, Any]]:
    """Failures as the API answers them."""
    context = {"organizations": organizations_named(failures)}
    return [dict(FailureSerializer(failure, context=context).data) for failure in failures]


def status_word(job: Job) -> Text:
    """The attempt's status, in its colour; one that is asked to stop says so."""
    stopping = job.cancel_requested_at is not None and job.is_open
    return Text(f"{job.status}{' (cancelling)' if stopping else ''}", style=STYLES[Status(job.status)])


def done_word(job: Job) -> str:
    """How far it is."""
    done = job.processed + job.failed
    if job.total:
        return f"{done:,} of {job.total:,}" if done < job.total else f"{done:,}"
    return f"{done:,}" if done else ""


def attempt_word(job: Job) -> str:
    """Which attempt of its round it is, of how many."""
    return f"{job.round_attempt + 1}/{job.max_retries + 1}"


def work_word(job: Job) -> str:
    """What it does: the flag and its value, else the kind, with the flag that it is about."""
    flag, enabled = job.arguments.get("featureFlagName"), job.arguments.get("enabled")
    if flag and enabled is not None:
        return f"{flag} {'on' if enabled else 'off'}"
    return f"{job.kind} {flag}" if flag else job.kind


def organization_word(organization_id: int | None, named: dict[int, Organization]) -> str:
    """Its key, or its id when it is gone."""
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
