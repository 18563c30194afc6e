"""Batches in the output of commands: tables for people, and the API's JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, me
from flagsite.core.words import counted
from jobs.batches.members import MemberCounts, count_members
from jobs.batches.models import Batch
from jobs.batches.operations import BatchOperation
from jobs.batches.serializers import BatchOperationSerializer, BatchSerializer, MemberSerializer
from jobs.console.job_tables import STYLES, organizations_named
from jobs.engine.chains import TrackedJob
from jobs.engine.states import Status
from orgs.access.caller import Caller
from orgs.access.models import Role

OUTCOME_STYLES = {"": "cyan", "SUCCEEDED": "green", "PARTIAL": "yellow", "FAILED": "red", "CANCELLED": "dim"}


def operator() -> Caller:
    """The person who runs a command, as a caller without a scope."""
    return Caller(me(), Role.ADMIN)


def batch_documents(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """The batches as JSON of the API."""
    context = {"counts": count_members(batches)}
    return [dict(BatchSerializer(batch, context=context).data) for batch in batches]


def member_documents(members: Sequence[TrackedJob]) -> list[dict[str, Any]]:
    """The members as JSON of the API."""
    return [dict(MemberSerializer(member).data) for member in members]


def batches_table(batches: Sequence[Batch]) -> Table:
    """A table with one row for each batch."""
    counts = count_members(batches)
    named = organizations_named([batch for batch in batches if batch.organization_id])  # type: ignore[misc]
    table = terminal.table(
        Column("Batch", justify="right", no_wrap=True), Column("Outcome", no_wrap=True), Column("Ended", no_wrap=True),
        Column("Name", overflow="fold"), Column("Organization", overflow="fold"), Column("Created (UTC)", no_wrap=True),
    )  # fmt: skip
    for batch in batches:
        organization = named.get(batch.organization_id or 0)
        table.add_row(
            *terminal.cells(
                str(batch.pk), outcome_word(batch), ended_word(batch, counts[batch.pk]), batch.name,
                organization.key if organization else "", terminal.format_time(batch.created_at),
            )
        )  # fmt: skip
    return table


def batch_facts(batch: Batch) -> Table:
    """The facts about one batch as a table, without its members."""
    counts = count_members([batch])[batch.pk]
    callback = f"job {batch.callback_job_id}" if batch.callback_job_id else batch.on_finish_kind
    return terminal.facts(
        [
            ("batch", f"{batch.pk}: {batch.name}"),
            ("outcome", outcome_word(batch)),
            ("members", ended_word(batch, counts)),
            ("", ", ".join(f"{count:,} {name}" for name, count in _parts(counts) if count)),
            ("generation", str(batch.generation)),
            ("after a failure", batch.get_failure_policy_display()),
            ("followed by", callback),
            ("key", batch.key),
            ("requested by", batch.requested_by),
            ("reason", batch.reason),
            ("cancelled by", ": ".join(filter(None, (batch.cancelled_by, batch.cancel_reason)))),
            ("correlation id", batch.correlation_id),
            ("created", terminal.format_time(batch.created_at)),
            ("ended", terminal.format_time(batch.finished_at)),
            ("error", Text(terminal.plain(batch.callback_error), style="red")),
        ]
    )


def members_table(members: Sequence[TrackedJob]) -> Table:
    """A table with one row for each member."""
    table = terminal.table(
        Column("Job", justify="right", no_wrap=True), Column("Name", overflow="fold"), Column("Status", no_wrap=True),
        Column("Attempts", justify="right"), Column("Error", overflow="fold"),
    )  # fmt: skip
    for member in members:
        job, status = member.job, Status(member.standing.status)
        table.add_row(
            *terminal.cells(
                str(job.pk), job.member_name or job.kind, Text(status, style=STYLES[status]), job.retry_count + 1,
                member.standing.error_message or "",
            )
        )  # fmt: skip
    return table


def operation_answer(done: BatchOperation, participle: str) -> Answer:
    """The answer of a command that did an operation on the members of a batch."""
    context = {"counts": count_members([done.batch]), "done": done}
    sentence = f"{counted(done.result.count, 'member')} {participle}."
    if done.job is not None:
        sentence = f"Job {done.job.pk} does it for {counted(done.job.total or 0, 'member')}."
    return Answer(dict(BatchOperationSerializer(done.batch, context=context).data), [sentence])


def outcome_word(batch: Batch) -> Text:
    """The outcome in its colour, or "open"."""
    return Text(batch.outcome or "open", style=OUTCOME_STYLES[batch.outcome])


def ended_word(batch: Batch, counts: MemberCounts) -> str:
    """The number of members that have ended, such as "3 of 5"."""
    return f"{counts.ended:,} of {batch.total:,}"


def _parts(counts: MemberCounts) -> list[tuple[str, int]]:
    names = ("waiting", "running", "retrying", "succeeded", "partial", "failed", "cancelled")
    return [(name, getattr(counts, name)) for name in names]
