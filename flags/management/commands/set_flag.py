"""Set a flag on an organization and everything below it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.console import RenderableType

from flags import changes
from flags.changes import Accepted
from jobs import waiting
from jobs.following import follow
from jobs.models import Job
from jobs.showing import documents_of, done_word, status_word
from jobs.watching import went_well
from orgs import origin, terminal
from orgs.access import organization_called
from orgs.command_arguments import add_reason
from orgs.models import Organization
from orgs.operator_command import Answer, OperatorCommand, me


class Command(OperatorCommand):
    help = (
        "Set a flag on an organization and everything below it. An organization without others below it has the value "
        "at once; else a job carries it down. With --wait until the job's chain has ended; exit status 0 only when it "
        "COMPLETED without failures."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id")
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("value", choices=["on", "off"])
        add_reason(parser)
        parser.add_argument("--wait", action="store_true", help="show progress until all below have the value")

    def answer(self, *, organization: str, flag: str, value: str, wait: bool, reason: str, **options: Any) -> Answer:
        where = organization_called(organization)
        accepted = changes.set_flag(
            organization_id=where.pk, flag_key=flag, enabled=value == "on", requested_by=me(),
            correlation_id=origin.correlation_id(), reason=reason,
        )  # fmt: skip
        if accepted.job is None:
            words = f"{flag} is {value} for {where.key} (id {where.pk}); there is nothing below it."
            return Answer(_document(accepted, where), [words])
        latest = follow(accepted.job) if wait else Job.objects.get(pk=accepted.job.pk)
        waits_for = waiting.reason_to_wait(latest.pk)
        document = _document(accepted, where) | {"job": documents_of([latest])[0], "waitsFor": waits_for}
        shown = _shown(latest, f"{flag} {value} for {where.key} (id {where.pk}) and everything below", waits_for)
        return Answer(document, shown, failed=wait and not went_well(latest))


def _document(accepted: Accepted, where: Organization) -> dict[str, Any]:
    return {
        "organizationId": where.pk,
        "organizationKey": where.key,
        "featureFlagName": accepted.flag.key,
        "enabled": accepted.change.enabled,
        "changeNumber": accepted.change.number,
        "jobId": accepted.job.pk if accepted.job else None,
    }


def _shown(job: Job, what: str, waits_for: str | None) -> list[RenderableType]:
    state = terminal.line(f"{what}: job {job.pk} ").append_text(status_word(job))
    if job.is_open:
        shown: list[RenderableType] = [state, waits_for or f"Follow it: bin/manage job {job.pk} --follow"]
        return shown
    state.append(f", {done_word(job)} organizations" + (f", of these {job.failed:,} failed" if job.failed else ""))
    return [state, terminal.line(job.error_message)] if job.error_message else [state]
