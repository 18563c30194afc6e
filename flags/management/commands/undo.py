"""Undo a change of a flag."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.states.set_flag import find_and_hold
from flags.states.undo import find_undoable, undo_on
from flagsite.core import actor
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from flagsite.core.words import counted


class Command(OperatorCommand):
    help = (
        "Undo a change of a flag: the settings that it has replaced or ended are as they were. Settings that were "
        "changed since stay as they are."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("number", type=int, metavar="NUMBER", help="the change number, as the audit log shows it")
        add_reason(parser)

    def answer(self, *, number: int, reason: str, **options: Any) -> Answer:
        change = find_undoable(number)
        with find_and_hold(change.organization_id) as held:
            undone = undo_on(
                held, change, requested_by=me(), correlation_id=actor.current().correlation_id, reason=reason
            )
        accepted = undone.accepted
        document = {
            "organizationId": held.pk,
            "organizationKey": held.key,
            "featureFlagName": accepted.flag.key,
            "changeNumber": accepted.change.number,
            "restored": undone.restored,
            "leftAlone": undone.left_alone,
            "leftAloneCount": undone.left_alone_count,
            "jobId": accepted.job.pk if accepted.job else None,
        }
        place = f"{held.key} (id {held.pk})"
        restored = counted(undone.restored, "setting")
        words = [f"Change {number} of {accepted.flag.key} on {place} is undone: {restored} restored."]
        if undone.left_alone_count:
            words.append(f"{counted(undone.left_alone_count, 'setting')} changed since stay as they are.")
        if accepted.job is not None:
            words.append(f"Job {accepted.job.pk} writes the organizations below: bin/manage job {accepted.job.pk}")
        return Answer(document, [*words])
