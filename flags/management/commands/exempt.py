"""Exempt an organization from the lock of a flag, or end its exemption."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.set_flag import AcceptedChange, find_and_hold
from flagsite.core import actor
from flagsite.core.console.arguments import add_reason, future_time
from flagsite.core.console.command import Answer, OperatorCommand, me
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = (
        "Exempt an organization and everything below it from the lock of a flag that holds there, perhaps until a "
        "time; or end its exemption."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument(
            "--until", type=future_time, metavar="TIME", help="when it ends by itself, such as 7d or 2030-01-31T09:00Z"
        )
        parser.add_argument("--end", action="store_true", help="end the exemption")
        add_reason(parser)

    def answer(
        self, *, organization: str, flag: str, until: datetime | None, end: bool, reason: str, **options: Any
    ) -> Answer:
        if until and end:
            raise CommandError("Write --until or --end, and not both.")
        where = find_organization(organization)
        change: dict[str, Any] = {
            "flag_key": flag, "requested_by": me(), "correlation_id": actor.current().correlation_id, "reason": reason,
        }  # fmt: skip
        accepted: AcceptedChange | None
        with find_and_hold(where.pk) as held:
            if end:
                accepted = end_exemption_on(held, **change)
            else:
                accepted = exempt_on(held, may_lift=lambda _: True, until=until, **change)
        place = f"{where.key} (id {where.pk})"
        job = accepted.job if accepted else None
        document = {
            "organizationId": where.pk,
            "organizationKey": where.key,
            "featureFlagName": flag,
            "changeNumber": accepted.change.number if accepted else None,
            "enabled": accepted.change.enabled if accepted else None,
            "jobId": job.pk if job else None,
        }
        if accepted is None:
            return Answer(document, [f"{place} is not exempt from a lock of {flag}. There was nothing to end."])
        does = "holds again" if end else "does not hold any more"
        words = [f"The lock of {flag} {does} for {place} and everything below: {accepted.change.value_in_words}."]
        if job is not None:
            words.append(f"Job {job.pk} writes the organizations below: bin/manage job {job.pk}")
        return Answer(document, [*words])
