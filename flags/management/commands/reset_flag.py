"""Reset a flag on an organization to the inherited value."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.states.organization_settings import locks_named_for
from flags.states.set_flag import reset_flag
from flagsite.core import actor
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization


class Command(OperatorCommand):
    help = (
        "Reset a flag on an organization to the inherited value: its own set or its lock ends. If the organization has "
        "children, a job writes the organizations below; with --wait the command waits for it."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("--subtree", action="store_true", help="the settings below end too")
        add_reason(parser)
        parser.add_argument("--wait", action="store_true", help="show progress until the job's chain has ended")

    def answer(self, *, organization: str, flag: str, subtree: bool, wait: bool, reason: str, **options: Any) -> Answer:
        where = find_organization(organization)
        place = f"{where.key} (id {where.pk})"
        with locks_named_for(Caller(me(), Role.ADMIN)):
            accepted = reset_flag(
                organization_id=where.pk, flag_key=flag, subtree=subtree, requested_by=me(),
                correlation_id=actor.current().correlation_id, reason=reason,
            )  # fmt: skip
        job = accepted.job if accepted else None
        document = {
            "organizationId": where.pk,
            "organizationKey": where.key,
            "featureFlagName": flag,
            "changeNumber": accepted.change.number if accepted else None,
            "settingsEnded": accepted.settings_ended if accepted else 0,
            "enabled": accepted.change.enabled if accepted else None,
            "jobId": job.pk if job else None,
        }
        if accepted is None:
            return Answer(document, [f"{flag} is not set on {place}. There was nothing to reset."])
        words = f"{flag} has the inherited value on {place} now: {accepted.change.value_in_words}."
        if job is None:
            return Answer(document, [words])
        if not wait:
            return Answer(document, [words, f"Job {job.pk} writes the organizations below: bin/manage job {job.pk}"])
        return Answer(document, [words], failed=not succeeded(follow(job)))
