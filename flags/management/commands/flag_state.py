"""The command flag_state: show the values of an organization's flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.table import Column, Table
from rich.text import Text

from flags.history.moments import Moment, find_moment, present_moment
from flags.history.past_comparison import compare_moments
from flags.history.past_settings import past_path
from flags.history.past_states import PastState, flags_with_values, past_state, past_states
from flags.history.serializers import PastSerializer
from flags.states import selectors
from flags.states.selectors import EffectiveState
from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import find_organization
from orgs.tree.models import Organization

COMMAND = Caller("command", Role.ADMIN)
"""The caller of commands, who sees all organizations."""
NOW = "now"
"""The word for the present moment in the option `until`."""


class Command(OperatorCommand):
    help = (
        "Show whether a flag is on for an organization, its stored value, and the organization on which this value was "
        "set. Without FLAG, show all flags that were ever set on the organization or above it."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("flag", metavar="FLAG", nargs="?")
        parser.add_argument("--environment", metavar="NAME", help="the environment, for environment overrides")
        parser.add_argument("--at", metavar="MOMENT", help="a time of the past in UTC, or the number of a change")
        parser.add_argument(
            "--until",
            metavar="MOMENT",
            help="with --at: show what has changed from then until this moment, or until `now`",
        )

    def answer(
        self,
        *,
        organization: str,
        flag: str | None,
        environment: str | None,
        at: str | None,
        until: str | None,
        **options: Any,
    ) -> Answer:
        if until is not None and at is None:
            raise CommandError("--until needs --at: the moment from which on to look.")
        with snapshot():
            where = find_organization(organization)
            moment = None if at is None else find_moment(COMMAND, at)
            if moment is not None and until is not None:
                return _differences(where, flag, moment, until)
            states = _states(where, flag, environment, moment)
            sources = Organization.objects.in_bulk({state.source_organization_id for state in states} - {None})
        documents = [_document(state, where, sources) for state in states]
        if flag is not None:
            return Answer(documents[0], [_sentence(states[0], where, sources)])
        output = [_table(states, sources)] if states else [f"No flag was ever set on {where.key} or above it."]
        return Answer({"organizationId": where.pk, "organizationKey": where.key, "results": documents}, output)


def _states(
    where: Organization, flag: str | None, environment: str | None, moment: Moment | None
) -> Sequence[EffectiveState]:
    if moment is not None and flag is not None:
        return [past_state(COMMAND, where.pk, flag, moment, environment)]
    if moment is not None:
        path = past_path(COMMAND, where.pk, moment)
        return sorted(past_states(path, flags_with_values(path), environment), key=lambda state: state.flag_key)
    if flag is not None:
        return [selectors.effective_state(organization=where, flag_key=flag, environment=environment)]
    states = selectors.as_effective(where, selectors.effective_states(where), environment)
    return sorted(states, key=lambda state: state.flag_key)


def _document(state: EffectiveState, where: Organization, sources: dict[int, Organization]) -> dict[str, Any]:
    source = sources.get(state.source_organization_id or 0)
    return {
        "featureFlagName": state.flag_key,
        "organizationId": where.pk,
        "organizationKey": where.key,
        "enabled": state.enabled,
        "storedValue": state.stored_value,
        "reason": state.value.reason.value,
        "rule": state.value.rule.value,
        "dependsOnUser": state.value.depends_on_user,
        "rolloutPercentage": state.value.rollout_percentage,
        "inherited": state.inherited,
        "sourceOrganizationId": state.source_organization_id,
        "sourceOrganizationKey": source.key if source else None,
        "jobId": state.job_id,
        "updatedAt": terminal.iso(state.updated_at),
        **({"past": dict(PastSerializer(state).data)} if isinstance(state, PastState) else {}),
    }


def _differences(where: Organization, flag: str | None, moment: Moment, until: str) -> Answer:
    later = present_moment() if until == NOW else find_moment(COMMAND, until)
    earlier, later = sorted((moment, later), key=lambda one: one.at)
    found = [one for one in compare_moments(COMMAND, where, earlier, later) if flag in (None, one.flag_key)]
    table = terminal.table(
        Column("Flag", no_wrap=True), Column("Before", no_wrap=True), Column("After", no_wrap=True), "Differs in", "By"
    )
    documents = []
    for one in found:
        before, after = one.left.state if one.left else None, one.right.state
        words = (", ".join(one.differs), "; ".join(one.by))
        table.add_row(*terminal.cells(one.flag_key, _value(before) if before else "", _value(after), *words))
        documents.append(
            {
                "featureFlagName": one.flag_key,
                "enabledBefore": before.enabled if before else None,
                "enabledAfter": after.enabled,
                "differs": list(one.differs),
                "by": one.by,
            }
        )
    answer = {"organizationId": where.pk, "organizationKey": where.key, "results": documents}
    return Answer(answer, [table] if found else ["No flag has changed."])


def _value(state: EffectiveState) -> Text:
    return Text(state.in_words, style="bold green" if state.enabled else "bold")


def _stored(state: EffectiveState) -> str:
    return "on" if state.stored_value else "off"


def _from(state: EffectiveState, sources: dict[int, Organization]) -> str:
    if state.source_organization_id is None:
        return "nobody set it here or above"
    source = sources.get(state.source_organization_id)
    named = f"{source.key} (id {source.pk})" if source else f"id {state.source_organization_id}, deleted"
    return f"inherited from {named}" if state.inherited else "set here"


def _sentence(state: EffectiveState, where: Organization, sources: dict[int, Organization]) -> Text:
    words = terminal.line(f"{state.flag_key} is ").append_text(_value(state))
    words.append(terminal.plain(f" for {where.key} (id {where.pk}): {_from(state, sources)}"))
    if state.updated_at is not None:
        by = f" by job {state.job_id}" if state.job_id else ""
        words.append(f", since {terminal.format_time(state.updated_at)} UTC{by}")
    return words.append(terminal.plain(f". {state.note}" if state.note else "."))


def _table(states: Sequence[EffectiveState], sources: dict[int, Organization]) -> Table:
    table = terminal.table(
        Column("Flag", no_wrap=True), Column("Value", no_wrap=True), Column("Stored", no_wrap=True),
        Column("From", overflow="fold"),
        Column("Since (UTC)", no_wrap=True), Column("Job", justify="right", no_wrap=True),
    )  # fmt: skip
    for state in states:
        job = str(state.job_id) if state.job_id else ""
        table.add_row(
            *terminal.cells(
                state.flag_key,
                _value(state),
                _stored(state),
                _from(state, sources),
                terminal.format_time(state.updated_at),
                job,
            )
        )
    return table
