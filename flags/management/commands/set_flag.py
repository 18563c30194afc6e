"""Set a flag on an organization and everything below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import RenderableType

from flags.definitions.models import Flag
from flags.states import planning, selectors
from flags.states.choice_arguments import add_choice, chosen_field
from flags.states.choices import Choice
from flags.states.effect_words import of_settings_below
from flags.states.effects import Effect
from flags.states.organization_settings import locks_named_for
from flags.states.plan_figures import figures
from flags.states.preview import asked_sentence, jobs_sentences
from flags.states.selectors import EffectiveState
from flags.states.set_flag import AcceptedChange, check_can_be_set, set_flag
from flags.states.setting_rules import Below
from flags.states.shown_values import shown as shown_value
from flagsite.core import actor
from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason, future_time
from flagsite.core.console.command import Answer, OperatorCommand, me
from flagsite.core.words import counted
from jobs.console import waiting_reason
from jobs.console.chain_polling import succeeded
from jobs.console.follow import follow
from jobs.console.job_tables import documents_of, status_word
from jobs.engine.chains import tracked
from jobs.engine.models import Job
from orgs.access.visible_organizations import find_organization
from orgs.tree.console import everything
from orgs.tree.models import Organization


class Command(OperatorCommand):
    help = (
        "Set a flag on an organization and everything below it. If the organization has children, a job writes the "
        "value. With --wait the command waits until the job's chain has ended, and its exit status is 0 only if the "
        "chain COMPLETED without failures."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("flag", metavar="FLAG")
        add_choice(parser)
        parser.add_argument(
            "--below",
            choices=[each.value for each in Below],
            default=Below.OVERWRITE.value,
            help="what happens to the settings below: they stay, end (the default), or do not count below a lock",
        )
        parser.add_argument("--here", action="store_true", help="the value counts for this organization only")
        parser.add_argument(
            "--expires", type=future_time, metavar="TIME",
            help="when the setting ends by itself, such as 7d or 2030-01-31T09:00Z",
        )  # fmt: skip
        parser.add_argument("--plan", action="store_true", help="only say what the change would do")
        add_reason(parser)
        parser.add_argument("--wait", action="store_true", help="show progress until the job's chain has ended")

    def answer(
        self,
        *,
        organization: str,
        flag: str,
        value: str | None,
        variant: str | None,
        custom: str | None,
        below: str,
        here: bool,
        expires: datetime | None,
        plan: bool,
        wait: bool,
        reason: str,
        **options: Any,
    ) -> Answer:
        if here and below != Below.KEEP:
            raise CommandError("--here needs --below keep: a value for this organization only changes nothing below.")
        choice = Choice.among(chosen_field(value, variant, custom))
        where = find_organization(organization)
        with locks_named_for(everything()):
            if plan:
                return _plan(where, flag, choice, below=Below(below), only_here=here)
            accepted = set_flag(
                organization_id=where.pk, flag_key=flag, choice=choice, below=Below(below), only_here=here,
                expires_at=expires, requested_by=me(), correlation_id=actor.current().correlation_id, reason=reason,
            )  # fmt: skip
        if accepted.job is None:
            state = selectors.effective_state(organization=where, flag_key=flag)
            words = [
                *_created(accepted),
                f"{_value(state)} for {where.key} (id {where.pk}). There is nothing below it.",
            ]
            return Answer(_document(accepted, where) | _read(state), words)
        latest = follow(accepted.job) if wait else Job.objects.get(pk=accepted.job.pk)
        waits_for = waiting_reason.waiting_reason(latest.pk)
        document = _document(accepted, where) | {"job": documents_of(tracked([latest]))[0], "waitsFor": waits_for}
        output = _created(accepted) + _job_output(
            latest,
            f"{flag} {accepted.change.value_in_words} for {where.key} (id {where.pk}) and everything below",
            waits_for,
        )
        off = selectors.why_off_for_everybody(flag)
        document["offForEverybody"] = off.rule.value if off else None
        if off is not None:
            output.append(f"Until this changes, {flag} is off for everybody: {off.detail}")
        return Answer(document, output, failed=wait and not succeeded(latest))


def _plan(where: Organization, key: str, choice: Choice, *, below: Below, only_here: bool) -> Answer:
    flag = check_can_be_set(key, where.pk) or Flag(key=key)
    plan = planning.of_set(where.subtree, choice.of(flag), below=below, only_here=only_here)
    found = figures(everything(), where.subtree, plan.changes, [flag.pk] if flag.pk else [])
    asked = found.asked_for(flag.pk)
    document = {
        **asdict(plan.effect), "askedLast7Days": asked, "jobsUnderWay": found.jobs, "planHash": plan.hash,
    }  # fmt: skip
    notes = [asked_sentence(asked, plan.changed, key) if plan.changed else "", *jobs_sentences(found)]
    return Answer(document, plan_in_words(where, plan.effect, [note for note in notes if note]))


def plan_in_words(where: Organization, effect: Effect, notes: Iterable[str] = ()) -> list[RenderableType]:
    """Return the lines that say what a change would do."""
    return [
        f"{counted(effect.organizations, 'organization')} at and below {where.key} (id {where.pk}):",
        f"{effect.changed:,} get another stored value, and {effect.unchanged:,} keep theirs.",
        *of_settings_below(effect),
        *notes,
        "Nothing was written.",
    ]


def _document(accepted: AcceptedChange, where: Organization) -> dict[str, Any]:
    shown = shown_value(accepted.flag, accepted.change.enabled, accepted.change.variant)
    return {
        "organizationId": where.pk,
        "organizationKey": where.key,
        "featureFlagName": accepted.flag.key,
        "enabled": accepted.change.enabled,
        "variant": shown.variant,
        "value": shown.value,
        "changeNumber": accepted.change.number,
        "created": accepted.created,
        "jobId": accepted.job.pk if accepted.job else None,
    }


def _created(accepted: AcceptedChange) -> list[RenderableType]:
    return [f"There was no flag {accepted.flag.key}. This change has defined it."] if accepted.created else []


def _read(state: EffectiveState) -> dict[str, Any]:
    """What holds after the change, and the stored value beside it."""
    return {"enabled": state.enabled, "storedValue": state.stored_value, "reason": state.value.reason.value}


def _value(state: EffectiveState) -> str:
    if state.in_words == ("on" if state.stored_value else "off"):
        return f"{state.flag_key} is {state.in_words}"
    return f"{state.flag_key} is {state.in_words} ({state.note.rstrip('.')})"


def _job_output(job: Job, title: str, waits_for: str | None) -> list[RenderableType]:
    state = terminal.line(f"{title}: job {job.pk} ").append_text(status_word(job))
    if job.is_open:
        output: list[RenderableType] = [state, waits_for or f"Follow it: bin/manage job {job.pk} --follow"]
        return output
    state.append(f", {counted(job.processed, 'organization')}" + (f", {job.failed:,} failed" if job.failed else ""))
    return [state, terminal.line(job.error_message)] if job.error_message else [state]
