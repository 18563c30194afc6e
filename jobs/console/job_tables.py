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
from jobs.engine.chains import Standing, TrackedJob
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


def documents_of(jobs: Sequence[TrackedJob]) -> list[dict[str, Any]]:
    """The jobs as JSON of the API, with additional fields for operators. One query serves all jobs."""
    organizations = organizations_named([one.job for one in jobs])
    return [_document(one, organizations.get(one.job.organization_id or 0)) for one in jobs]


def attempt_documents(jobs: Sequence[TrackedJob]) -> list[dict[str, Any]]:
    """The same JSON for the attempts of a chain, each with its own status, counts, error and end."""
    return [
        document | {name: value for name, value in document["attempt"].items() if name in document}
        for document in documents_of(jobs)
    ]


def organizations_named(rows: Iterable[Job | JobFailure]) -> dict[int, Organization]:
    """The organizations of the rows that still exist, by id."""
    return Organization.objects.in_bulk({row.organization_id for row in rows if row.organization_id})


class JobsTable:
    """A table with one row for each job. A narrow terminal shows fewer columns; the command `job ID` has the rest."""

    def __init__(self, jobs: Sequence[TrackedJob]) -> None:
        self._jobs = jobs
        self._organizations = organizations_named([one.job for one in jobs])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE_TERMINAL_COLUMNS
        table = terminal.table(
            Column("Job", justify="right", no_wrap=True), Column("Status", no_wrap=True),
            Column("Done", justify="right", no_wrap=True), Column("Organization", overflow="fold"),
            Column("Work", overflow="fold"), *([Column("Attempt"), Column("Queue")] if wide else []),
            Column("Created (UTC)" if wide else "Created", no_wrap=True),
        )  # fmt: skip
        for one in self._jobs:
            table.add_row(*terminal.cells(*self._row(one.job, one.standing, wide=wide)))
        yield table

    def _row(self, job: Job, standing: Standing, *, wide: bool) -> list[Any]:
        organization = organization_word(job.organization_id, self._organizations)
        created = terminal.format_time(job.created_at)
        cells: list[Any] = [str(job.pk), status_word(job), done_word(standing), organization, work_word(job)]
        return [*cells, attempt_word(job), job.queue, created] if wide else [*cells, created[5:-3]]


def job_facts(one: TrackedJob) -> Table:
    """The facts about one job as a table, without its chain and its failures."""
    job, standing = one.job, one.standing
    named = organizations_named([job])
    is_latest = one.chain.latest_job_id == job.pk
    own_end = None if is_latest else f"{job.attempt_status}; the latest attempt is job {one.chain.latest_job_id}"
    parts = ((standing.unchanged, "had the value already"), (standing.superseded, "had a newer value"))
    counts = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    error_style = "red" if job.status != Status.COMPLETED or standing.failed else ""
    return terminal.facts(
        [
            ("job", str(job.pk)),
            ("status", status_word(job)),
            ("this attempt", own_end),
            ("organization", organization_word(job.organization_id, named)),
            ("work", work_word(job)),
            ("done", ": ".join(filter(None, (done_word(standing) or "0", counts))) if job.started_at else None),
            ("attempt", f"{attempt_word(job)}, created by {job.get_trigger_display().lower()}"),
            ("queue", f"{job.queue}, priority {job.priority}"),
            ("batch", ", ".join(filter(None, (str(job.batch_id or ""), job.member_name)))),
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
            ("error", Text(terminal.plain(standing.error_message or ""), style=error_style)),
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
                str(job.pk), attempt_status_word(job), creator, terminal.format_duration(max(waited, timedelta())),
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


def attempt_status_word(job: Job) -> Text:
    """How the attempt stands by itself, in its colour."""
    return Text(job.attempt_status, style=STYLES[Status(job.attempt_status)])


def done_word(counts: Job | Standing) -> str:
    """The organizations that are done and those that failed, such as "18 of 19, 1 failed"; empty if there are none."""
    done, failed = f"{counts.processed:,}", f", {counts.failed:,} failed" if counts.failed else ""
    if counts.total:
        return f"{done} of {counts.total:,}{failed}" if counts.processed < counts.total else f"{done}{failed}"
    return f"{done}{failed}" if counts.processed + counts.failed else ""


def attempt_word(job: Job) -> str:
    """The number of the attempt in its round and the number of attempts in a round, such as "2/4"."""
    return f"{job.round_attempt + 1}/{job.max_retries + 1}"


def work_word(job: Job) -> str:
    """The work of the job: the flag and its value, or else the kind of work, with its flag or its task."""
    flag, enabled = job.arguments.get("featureFlagName"), job.arguments.get("enabled")
    if flag and enabled is not None:
        return f"{flag} {'on' if enabled else 'off'}"
    subject = flag or job.arguments.get("task")
    return f"{job.kind} {subject}" if subject else job.kind


def organization_word(organization_id: int | None, named: dict[int, Organization]) -> str:
    """The key of the organization, or its id if the organization is deleted."""
    if organization_id is None:
        return ""
    return named[organization_id].key if organization_id in named else f"id {organization_id}, deleted"


def _document(one: TrackedJob, organization: Organization | None) -> dict[str, Any]:
    job = one.job
    document: dict[str, Any] = dict(JobSerializer(one).data)
    return document | {
        "organizationKey": organization.key if organization else None,
        "attemptOfRound": job.round_attempt + 1,
        "unchangedOrganizations": one.standing.unchanged,
        "reason": job.reason,
        "cancelledBy": job.cancelled_by,
        "cancelReason": job.cancel_reason,
        "cancelRequestedAt": terminal.iso(job.cancel_requested_at),
        "worker": job.worker,
        "dueAt": terminal.iso(job.run_at),
    }
